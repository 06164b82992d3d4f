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
  for (const schedule of ['constant', 'cosine'] as const) {
    const all = rates({ schedule, warmupSteps: 4, totalSteps: 10 })
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
