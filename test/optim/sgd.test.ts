import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/gpu.ts'
import { Sgd } from '../../src/optim/sgd.ts'
import { relativeError } from '../../src/selfTest/reference/compare.ts'
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

test('refuses options out of range', async () => {
  const gpu = await openGpu()
  const good = { momentum: 0.9, nesterov: true, weightDecay: 0 }
  for (const [options, message] of [
    [{ momentum: 1 }, 'sgd: momentum is 1, expected a value in [0, 1)'],
    [{ momentum: Number.NaN }, 'sgd: momentum is NaN, expected a value in [0, 1)'],
    [{ weightDecay: -1 }, 'sgd: weight decay is -1, expected a number of at least 0'],
  ] as const)
    assert.throws(
      () => new Sgd(gpu, [], { ...good, ...options }),
      (error: Error) => error.message === message,
    )
  gpu.close()
})

test.run()
