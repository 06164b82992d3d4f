import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { learningRate } from '../../src/optim/schedule.ts'

// The formula evaluated in float64 by both sides: only the order of roundings differs.
const TOLERANCE = 1e-15

function rates(options: Omit<Parameters<typeof learningRate>[1], 'lr'>): number[] {
  return Array.from({ length: options.totalSteps }, (_, step) =>
    learningRate(step, { ...options, lr: 0.8 }),
  )
}

test('warm-up rises in a line from a first step that is not 0 to the peak at its end', () => {
  for (const schedule of ['constant', 'cosine', 'exponential'] as const) {
    const all = rates({ schedule, warmupSteps: 4, totalSteps: 10, stepsPerEpoch: 4 })
    assert.equal(
      all.slice(0, 4).map((rate) => Math.round(rate * 1e12) / 1e12),
      [0.2, 0.4, 0.6, 0.8],
    )
    assert.is(all[3], 0.8)
    assert.is(all[4], 0.8)
    assert.is(Math.max(...all), 0.8)
  }
})

test('constant stays at the peak', () => {
  assert.equal(rates({ schedule: 'constant', warmupSteps: 0, totalSteps: 3 }), [0.8, 0.8, 0.8])
})

// PAPER.md item 15: 1.6 * 0.975^(epoch - 10), to the three digits that stand there.
test('exponential decay reads 0.0511 at epoch 146 of the paper recipe and 0.0144 at 196', () => {
  const stepsPerEpoch = 300
  const options = {
    schedule: 'exponential',
    lr: 1.6,
    decay: 0.975,
    stepsPerEpoch,
    warmupSteps: 10 * stepsPerEpoch,
    totalSteps: 200 * stepsPerEpoch,
  } as const
  for (const [epoch, rate] of [
    [10, 1.6],
    [146, 0.0511],
    [158, 0.0377],
    [180, 0.0216],
    [196, 0.0144],
  ] as const) {
    const at = learningRate(epoch * stepsPerEpoch, options)
    assert.ok(Math.abs(at / rate - 1) < 2e-3, `epoch ${epoch}: ${at}, expected ${rate}`)
    const smooth = { ...options, staircase: false }
    assert.is(learningRate(epoch * stepsPerEpoch, smooth), at, 'both agree where an epoch begins')
    const half = learningRate(epoch * stepsPerEpoch + 150, smooth)
    assert.ok(Math.abs(half / at - Math.sqrt(0.975)) < TOLERANCE * 10, 'half an epoch')
    assert.is(learningRate(epoch * stepsPerEpoch + 299, options), at, 'one rate an epoch')
  }
  const fromStart = { ...options, decayFrom: 'start' } as const
  const after = learningRate(10 * stepsPerEpoch, fromStart)
  assert.ok(Math.abs(after - 1.6 * 0.975 ** 10) < TOLERANCE * 10, 'drops at the end of the warm-up')
  assert.throws(() => learningRate(0, { ...options, warmupSteps: 0, stepsPerEpoch: 0 }), /stepsPer/)
})

test('cosine falls from the peak over half a period that would end one step after the last', () => {
  for (const warmupSteps of [0, 5]) {
    const totalSteps = 25
    const all = rates({ schedule: 'cosine', warmupSteps, totalSteps })
    const length = totalSteps - warmupSteps
    for (let step = warmupSteps; step < totalSteps; step++) {
      const expected = 0.4 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / length))
      assert.ok(Math.abs(all[step]! - expected) < TOLERANCE, `step ${step}`)
      if (step > warmupSteps) assert.ok(all[step]! < all[step - 1]!, `falls at step ${step}`)
    }
    const last = all.at(-1)!
    assert.ok(last > 0 && last < 0.8 * (Math.PI / (2 * length)) ** 2 * 1.01, `ends at ${last}`)
  }
  const half = learningRate(10, { schedule: 'cosine', lr: 0.8, warmupSteps: 0, totalSteps: 20 })
  assert.ok(Math.abs(half - 0.4) < TOLERANCE)
})

test('a run that is all warm-up, or one step long, has its rates', () => {
  const all = rates({ schedule: 'cosine', warmupSteps: 2, totalSteps: 2 })
  assert.equal(all, [0.4, 0.8])
  assert.equal(rates({ schedule: 'cosine', warmupSteps: 0, totalSteps: 1 }), [0.8])
})

test('a step outside the run is refused', () => {
  for (const step of [-1, 10, 0.5, Number.NaN])
    assert.throws(
      () => learningRate(step, { schedule: 'cosine', lr: 1, warmupSteps: 0, totalSteps: 10 }),
      (error: Error) => error.message === `step is ${step}, expected an integer from 0 to 9`,
    )
})

test.run()
