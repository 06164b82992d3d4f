import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { ResNet, resnet50 } from '../../src/nn/resnet.ts'
import { readStateDict, toTorchLayout } from '../../src/nn/stateDict.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'

const SEED = 5
// Mean and standard deviation of n draws lie within this many standard errors of their law's: 54
// tensors with two figures each pass it by chance with a probability below 1e-4.
const ERRORS = 5

/** The initial values of every parameter, as `allocate` draws them, in our layout. */
function draw(model: ResNet) {
  return model.parameters.parameters.map(({ spec }, number) => {
    const stream = new RandomStream(SEED, streams.init, number)
    const length = spec.shape.reduce((a, b) => a * b, 1)
    const values = new Float32Array(length)
    spec.initial(stream, values)
    return { spec, values }
  })
}

function moments(values: Float32Array): { mean: number; deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length
  return { mean, deviation: Math.sqrt(variance) }
}

test('convolutions start normal with variance 2 / fan_out, the linear layer uniform', () => {
  let convolutions = 0
  for (const { spec, values } of draw(new ResNet({ classes: 100, width: 1 / 8 }))) {
    const { name, shape, layout } = spec
    const { mean, deviation } = moments(values)
    const n = values.length
    if (layout === 'hwio') {
      convolutions++
      const [r, s, , outputs] = shape as [number, number, number, number]
      const sigma = Math.sqrt(2 / (r * s * outputs))
      assert.ok(Math.abs(mean) < (ERRORS * sigma) / Math.sqrt(n), `${name}: mean ${mean}`)
      const error = Math.abs(deviation / sigma - 1)
      assert.ok(error < ERRORS / Math.sqrt(2 * n), `${name}: deviation ${deviation}, not ${sigma}`)
    } else if (name.startsWith('fc.')) {
      const bound = 1 / Math.sqrt(256)
      assert.ok(
        values.every((v) => Math.abs(v) <= bound),
        `${name}: a value beyond ${bound}`,
      )
      const sigma = bound / Math.sqrt(3)
      assert.ok(Math.abs(mean) < (ERRORS * sigma) / Math.sqrt(n), `${name}: mean ${mean}`)
      // A uniform law's kurtosis is 9/5, so its deviation's relative error is sqrt(0.2 / n).
      const error = Math.abs(deviation / sigma - 1)
      assert.ok(error < ERRORS * Math.sqrt(0.2 / n), `${name}: deviation ${deviation}`)
    }
  }
  assert.is(convolutions, 53)
})

test('batch norms start at 1 and 0, the last gamma of each block at 0', () => {
  const model = new ResNet({ classes: 10, width: 1 / 16 })
  let zeros = 0
  for (const { spec, values } of draw(model)) {
    const [, norm, entry] = /(?:^|\.)(bn\d|downsample\.1)\.(weight|bias)$/.exec(spec.name) ?? []
    if (!norm) continue
    const expected = entry === 'weight' && norm !== 'bn3' ? 1 : 0
    if (entry === 'weight' && norm === 'bn3') zeros++
    assert.ok(
      values.every((v) => v === expected),
      `${spec.name}: not all ${expected}`,
    )
  }
  assert.is(zeros, 16)
  for (const { spec } of model.parameters.buffers)
    assert.is(spec.initial, spec.name.endsWith('running_var') ? 1 : 0, spec.name)
})

test('weight decay applies to weights of convolutions and the linear layer only', () => {
  const decaying = new ResNet({ classes: 10 }).parameters.parameters
    .filter(({ spec }) => spec.decay)
    .map(({ spec }) => spec.name)
  assert.is(decaying.length, 54)
  for (const name of decaying) assert.match(name, /(conv\d|downsample\.0|^fc)\.weight$/)
})

test('the device holds these values; another seed gives others, the same the same', async () => {
  const gpu = await openGpu()
  const options = { classes: 10, width: 1 / 16 }
  const [one, again, other] = [SEED, SEED, SEED + 1].map((seed) =>
    resnet50(gpu, { ...options, seed }),
  )
  const state = await readStateDict(gpu, one!.parameters, 0)
  for (const { spec, values } of draw(one!))
    assert.equal(state.get(spec.name)!.data, toTorchLayout(spec.layout, spec.shape, values))
  assert.equal(await readStateDict(gpu, again!.parameters, 0), state)
  const others = await readStateDict(gpu, other!.parameters, 0)
  for (const name of ['conv1.weight', 'layer4.2.conv3.weight', 'fc.weight', 'fc.bias'])
    assert.not.equal(others.get(name)!.data, state.get(name)!.data, name)
  gpu.close()
})

test('a width or a number of classes out of range is refused', () => {
  for (const width of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(
      () => new ResNet({ classes: 10, width }),
      (error: Error) => error.message.includes(`width is ${width}, expected a number above 0`),
    )
  for (const classes of [0, -1, 1.5])
    assert.throws(
      () => new ResNet({ classes }),
      (error: Error) => error.message.includes(`classes is ${classes}, expected an integer`),
    )
})

test.run()
