import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { Sgd, type SgdOptions } from '../../src/optim/sgd.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import { readOpFixtures } from '../reference/opFixtures.ts'

interface SgdAttributes {
  readonly rates: readonly number[]
  readonly momentum: number
  readonly nesterov: boolean
  readonly weightDecay: number
}

// Five steps of five roundings each, relative to parameters near 1: measured below 7e-8.
const TOLERANCE = 1e-6

test('five steps at changing rates agree with PyTorch, with decay and without', async () => {
  const gpu = await openGpu()
  for (const { name, attributes, inputs, results } of await readOpFixtures('sgd')) {
    const { rates, ...options } = attributes as unknown as SgdAttributes
    const upload = (input: string) =>
      gpu.upload('f32', inputs[input]!.shape, Float32Array.from(inputs[input]!.data))
    const groups = [
      { decay: true, values: upload('decayed'), gradients: upload('gradDecayed0') },
      { decay: false, values: upload('other'), gradients: upload('gradOther0') },
    ] as const
    const sgd = new Sgd(gpu, groups, options)
    const rate = gpu.zeros('f32', [1])
    for (const [step, value] of rates.entries()) {
      gpu.write(rate, Float32Array.of(value))
      gpu.write(groups[0].gradients, inputs[`gradDecayed${step}`]!.data)
      gpu.write(groups[1].gradients, inputs[`gradOther${step}`]!.data)
      sgd.step(rate)
    }
    for (const [i, result] of (['decayed', 'other'] as const).entries()) {
      const error = relativeError(await gpu.read(groups[i]!.values), results[result]!)
      assert.ok(error < TOLERANCE, `${name}, ${result}: relative error ${error}`)
    }
  }
  gpu.close()
})

/** SGD as in the docstring of `Sgd`, in float64, on the gradients that it is given. */
function referenceStep(
  { w, v }: { w: Float64Array; v: Float64Array },
  g: Float32Array,
  rate: number,
  { momentum, nesterov, weightDecay }: SgdOptions,
): void {
  for (let i = 0; i < w.length; i++) {
    const gradient = g[i]! + weightDecay * w[i]!
    v[i] = momentum * v[i]! + gradient
    w[i]! -= rate * (nesterov ? gradient + momentum * v[i]! : v[i]!)
  }
}

// f32 parameters near 1 after twenty steps against float64: measured below 2e-7.
const LOOP_TOLERANCE = 1e-6

test('twenty steps agree with a float64 loop; only groups that decay do', async () => {
  const gpu = await openGpu()
  const length = 1003
  for (const nesterov of [false, true])
    for (const [momentum, weightDecay] of [
      [0.9, 0.01],
      [0, 0.01],
      [0.99, 0],
    ] as const) {
      const options = { momentum, nesterov, weightDecay }
      const groups = [true, false].map((decay, i) => ({
        decay,
        values: gpu.upload('f32', [length], hashValues(length, i)),
        gradients: gpu.empty('f32', [length]),
      }))
      const expected = groups.map((_, i) => ({
        w: Float64Array.from(hashValues(length, i)),
        v: new Float64Array(length),
      }))
      const sgd = new Sgd(gpu, groups, options)
      const rate = gpu.empty('f32', [1])
      for (let step = 0; step < 20; step++) {
        const lr = Math.fround(0.1 / (step + 1))
        gpu.write(rate, Float32Array.of(lr))
        for (const [i, { decay, gradients }] of groups.entries()) {
          const g = hashValues(length, 100 + 2 * step + i)
          gpu.write(gradients, g)
          const decays = { ...options, weightDecay: decay ? weightDecay : 0 }
          referenceStep(expected[i]!, g, lr, decays)
        }
        sgd.step(rate)
        if (step > 0 || weightDecay > 0) continue
        // PyTorch's first step: not (1 - dampening) g.
        for (const [i, { gradients }] of groups.entries())
          assert.equal(await gpu.read(sgd.velocities[i]!), await gpu.read(gradients), 'v = g')
      }
      for (const [i, { decay, values }] of groups.entries()) {
        const what = `decay ${decay}, ${JSON.stringify(options)}`
        const weights = relativeError(await gpu.read(values), expected[i]!.w)
        assert.ok(weights < LOOP_TOLERANCE, `${what}: weights differ by ${weights}`)
        const velocities = relativeError(await gpu.read(sgd.velocities[i]!), expected[i]!.v)
        assert.ok(velocities < LOOP_TOLERANCE, `${what}: velocities differ by ${velocities}`)
      }
      for (const { values, gradients } of groups) for (const a of [values, gradients]) a.release()
      sgd.release()
      rate.release()
    }
  assert.is(gpu.memory().live, 0)
  gpu.close()
})

test('refuses options out of range', async () => {
  const gpu = await openGpu()
  const good = { momentum: 0.9, nesterov: true, weightDecay: 0 }
  for (const [options, message] of [
    [{ momentum: 1 }, 'sgd: momentum is 1, expected a number in [0, 1)'],
    [{ momentum: Number.NaN }, 'sgd: momentum is NaN, expected a number in [0, 1)'],
    [{ weightDecay: -1 }, 'sgd: weightDecay is -1, expected a number of at least 0'],
  ] as const)
    assert.throws(
      () => new Sgd(gpu, [], { ...good, ...options }),
      (error: Error) => error.message === message,
    )
  gpu.close()
})

test.run()
