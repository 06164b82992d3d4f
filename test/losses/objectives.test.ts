import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import type { Variant } from '../../src/losses/definition.ts'
import { instantiate } from '../../src/losses/objective.ts'
import { objectiveNamed } from '../../src/losses/registry.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'

/** As reference/makeLossFixtures.py describes a case. */
interface LossFixture {
  readonly name: string
  readonly objective: string
  readonly hyperparameters: Readonly<Record<string, number>>
  readonly variant: Variant
  readonly shape: readonly [number, number, number]
  readonly soft: boolean
  readonly scale: number
}

// Stored as float32: 6e-8. The logits are f32 matrix products of relative error 1e-7, and a loss moves by
// less than a logit does; measured on a software driver: below 2e-7.
const LOSS = 1e-6
const GRADIENT = 1e-5

const file = path.join(packageRoot(), 'test/fixtures/losses/objectives.safetensors')
const { tensors, metadata } = await readSafetensors(file)
const fixtures = JSON.parse(metadata.cases!) as LossFixture[]

function inputs({ shape: [n, m, k], scale }: LossFixture) {
  const hashed = (length: number, seed: number, factor: number) =>
    hashValues(length, seed).map((v) => Math.fround(v * factor))
  const features = hashed(n * m, 21, scale).map((v, i) => (i % 3 === 0 ? 0 : v))
  return { features, weight: hashed(m * k, 22, 1), bias: hashed(k, 23, 1) }
}

async function check(gpu: Gpu, fixture: LossFixture): Promise<void> {
  const { name, shape, soft, variant, hyperparameters } = fixture
  const [n, m, k] = shape
  const objective = instantiate(objectiveNamed(fixture.objective), k, hyperparameters, { variant })
  const { features, weight, bias } = inputs(fixture)
  const leaves = {
    features: new Tensor(gpu.upload('f32', [n, m], features), true),
    weight: new Tensor(gpu.upload('f32', [m, k], weight), true),
    bias: new Tensor(gpu.upload('f32', [k], bias), true),
  }
  const rows = Array.from({ length: n }, (_, i) => i)
  const soften = new Float32Array(n * k)
  for (const i of rows) {
    soften[i * k + (i % k)]! += 0.75
    soften[i * k + ((i + 3) % k)]! += 0.25
  }
  const target = soft
    ? { targets: gpu.upload('f32', [n, k], soften) }
    : {
        labels: gpu.upload(
          'u32',
          [n],
          Uint32Array.from(rows, (i) => (i * 3 + k - 1) % k),
        ),
      }
  const tape = new Tape(gpu)
  const { features: x, ...layer } = leaves
  const loss = tape.keep(objective.lossOfFeatures(tape, { features: x, layer, target }))
  tape.backward(loss)
  const what = `${fixture.objective} ${variant}${soft ? ' soft' : ''} [${shape}]`
  const expected = tensors.get(`${name}/loss`)!.data[0] as number
  const [actual] = await gpu.read(loss.value)
  assert.ok(
    Math.abs(actual! / expected - 1) < LOSS,
    `${what}: loss ${actual}, expected ${expected}`,
  )
  for (const [key, leaf] of Object.entries(leaves)) {
    const gradient = await gpu.read(leaf.gradient!)
    const sampled = k < 1000 ? gradient : gradient.filter((_, i) => i % 37 === 0)
    const error = relativeError(sampled, Array.from(tensors.get(`${name}/d${key}`)!.data, Number))
    assert.ok(error < GRADIENT, `${what}: relative error of d${key} is ${error}`)
  }
}

test('every objective, combination and variant agrees with PyTorch in float64', async () => {
  const gpu = await openGpu()
  for (const fixture of fixtures) await check(gpu, fixture)
  gpu.close()
})

test('cosine softmax: zero features and zero weights have similarity 0 and finite gradients', async () => {
  const gpu = await openGpu()
  const [n, m, k] = [3, 8, 5]
  const objective = instantiate(objectiveNamed('cosine-softmax'), k)
  const features = hashValues(n * m, 1)
  features.fill(0, m, 2 * m)
  const weight = hashValues(m * k, 2)
  for (let i = 0; i < m; i++) weight[i * k + 2] = 0
  const bias = hashValues(k, 3)
  const x = new Tensor(gpu.upload('f32', [n, m], features), true)
  const layer = {
    weight: new Tensor(gpu.upload('f32', [m, k], weight), true),
    bias: new Tensor(gpu.upload('f32', [k], bias), true),
  }
  const tape = new Tape(gpu)
  const logits = await gpu.read(objective.logits(tape, x, layer).value)
  assert.equal([...logits.subarray(k, 2 * k)], [...bias], 'logits of zero features')
  for (let i = 0; i < n; i++) assert.is(logits[i * k + 2], bias[2], 'logit of a zero weight row')
  const target = { labels: gpu.upload('u32', [n], Uint32Array.of(0, 2, 4)) }
  tape.backward(objective.lossOfFeatures(tape, { features: x, layer, target }))
  for (const leaf of [x, layer.weight, layer.bias])
    assert.ok((await gpu.read(leaf.gradient!)).every(Number.isFinite))
  gpu.close()
})

test('a loss of logits and its gradient are two dispatches, and one more times a factor', async () => {
  const gpu = await openGpu()
  const logits = new Tensor(gpu.upload('f32', [2, 4], hashValues(8, 5)), true)
  const target = { labels: gpu.upload('u32', [2], Uint32Array.of(1, 3)) }
  const record = (factor?: number) =>
    gpu.record(() => {
      const tape = new Tape(gpu)
      tape.backward(
        instantiate(objectiveNamed('softmax'), 4).loss(tape, logits, target),
        factor === undefined ? {} : { factor },
      )
      return logits.gradient!
    })
  const whole = await record()
  assert.equal(whole.program.kernels, ['loss_softmax_cross_entropy', 'loss_mean'])
  whole.program.run()
  const gradient = await gpu.read(whole.result)
  logits.gradient = undefined
  const half = await record(0.5)
  assert.equal(half.program.kernels.slice(2), ['loss_scale_in_place'])
  half.program.run()
  // Halving is exact.
  assert.equal(
    await gpu.read(half.result),
    gradient.map((g) => g / 2),
  )
  gpu.close()
})

test('logit normalisation: the gradient at zero logits is that of a constant norm of 1e-6', async () => {
  const gpu = await openGpu()
  const tau = 0.5
  const z = new Tensor(gpu.zeros('f32', [1, 4]), true)
  const tape = new Tape(gpu)
  const target = { labels: gpu.upload('u32', [1], Uint32Array.of(1)) }
  tape.backward(instantiate(objectiveNamed('logit-norm'), 4, { tau }).loss(tape, z, target))
  const gradient = await gpu.read(z.gradient!)
  const expected = [0.25, -0.75, 0.25, 0.25].map((g) => g / (tau * 1e-6))
  assert.ok(relativeError(gradient, expected) < 1e-6, `${gradient}`)
  gpu.close()
})

test('probabilities: softmax, normalised sigmoids, none for squared error', () => {
  const rows = [1, 2, 3, -4, 0, 1000]
  const probabilities = (name: string, hyperparameters = {}) =>
    instantiate(objectiveNamed(name), 3, hyperparameters).logProbabilities(rows)?.map(Math.exp)
  const isClose = (actual: ArrayLike<number> | undefined, expected: ArrayLike<number>) =>
    assert.ok(actual && relativeError(actual, expected) < 1e-12, `${actual}, not ${expected}`)
  const softmax = (z: readonly number[]) => {
    const sum = z.reduce((s, v) => s + Math.exp(v), 0)
    return z.map((v) => Math.exp(v) / sum)
  }
  isClose(probabilities('softmax'), [...softmax([1, 2, 3]), 0, 0, 1])
  const s = [1, 2, 3].map((v) => 1 / (1 + Math.exp(-v)))
  const sum = s.reduce((a, b) => a + b)
  isClose(
    probabilities('sigmoid')?.subarray(0, 3),
    s.map((v) => v / sum),
  )
  const norm = Math.sqrt(14)
  isClose(
    probabilities('logit-norm', { tau: 0.5 })?.subarray(0, 3),
    softmax([1, 2, 3].map((v) => v / norm / 0.5)),
  )
  assert.is(probabilities('squared-error'), undefined)
})

test.run()
