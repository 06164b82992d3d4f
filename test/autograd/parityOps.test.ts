import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type RegisteredOp, registeredOps } from '../../src/autograd/op.ts'
import '../../src/autograd/ops/index.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { GpuArray } from '../../src/gpu/gpuArray.ts'
import { openDevices } from '../devices.ts'
import '../../src/losses/registry.ts'
import { relativeError } from '../../src/selfTest/reference/compare.ts'
import { hostAttributes } from '../../src/selfTest/reference/hostTensor.ts'
import { references } from '../../src/selfTest/reference/references.ts'
import { weightedSum } from '../../src/selfTest/testOps.ts'
import { type OpFixture, readOpFixtures } from '../reference/opFixtures.ts'

// PyTorch's own float32 is within 2e-6 of these float64 results. Measured on a software driver: below
// 9e-7, and 2.7e-6 for batch norm at a mean of 85 deviations, where f32 leaves the mean that much.
const TOLERANCE = 5e-6
// The fixtures are float64 results stored as float32, half a unit in the last place off.
const REFERENCE_TOLERANCE = 6e-8

/** Attributes whose values are arrays in the fixture's inputs or made from its shapes. */
function deviceAttributes(gpu: Gpu, { attributes, inputs }: OpFixture): Record<string, unknown> {
  const { targets, ...rest } = attributes
  const made: Record<string, unknown> = { ...rest }
  for (const name of ['runningMean', 'runningVar'])
    if (inputs[name]) made[name] = gpu.upload('f32', inputs[name].shape, inputs[name].data)
  if (!inputs.logits) return made
  const [n, k] = inputs.logits.shape as [number, number]
  if (targets === 'hard')
    made.labels = gpu.upload(
      'u32',
      [n],
      Uint32Array.from({ length: n }, (_, i) => i % k),
    )
  else {
    const soft = new Float32Array(n * k)
    for (let i = 0; i < n; i++) {
      soft[i * k + (i % k)]! += 0.75
      soft[i * k + ((i + 3) % k)]! += 0.25
    }
    made.targets = gpu.upload('f32', [n, k], soft)
  }
  return made
}

async function checkFixture(gpu: Gpu, op: RegisteredOp, fixture: OpFixture): Promise<void> {
  const attributes = deviceAttributes(gpu, fixture)
  const names = Object.keys(fixture.inputs).filter((name) => name !== 'dy' && !attributes[name])
  const inputs = Object.fromEntries(
    names.map((name) => {
      const { shape, data } = fixture.inputs[name]!
      return [name, new Tensor(gpu.upload('f32', shape, data), true)]
    }),
  )
  const host = Object.fromEntries(
    names.map((name) => {
      const { shape, data } = fixture.inputs[name]!
      return [name, { shape, value: Float64Array.from(data) }]
    }),
  )
  const reference = references[op.opName]!(host, await hostAttributes(gpu, attributes))
  const tape = new Tape(gpu)
  const y = tape.keep(op(tape, inputs, attributes))
  const { dy } = fixture.inputs
  assert.equal(y.shape, dy?.shape ?? [1], `${op.opName}, ${fixture.name}: shape`)
  tape.backward(dy ? weightedSum(tape, { x: y }, { r: gpu.upload('f32', dy.shape, dy.data) }) : y)
  const actual: Record<string, GpuArray<'f32'> | undefined> = { [dy ? 'y' : 'loss']: y.value }
  for (const name of names) actual[`d${name}`] = inputs[name]!.gradient
  for (const name of ['runningMean', 'runningVar'])
    actual[name] = attributes[name] as GpuArray<'f32'> | undefined
  for (const [name, expected] of Object.entries(fixture.results)) {
    const what = `${op.opName}, ${fixture.name}: ${name}`
    assert.ok(actual[name], `${what} was not computed`)
    const error = relativeError(await gpu.read(actual[name]), expected)
    assert.ok(error < TOLERANCE, `${what}: relative error ${error}`)
    if (name !== 'y' && name !== 'loss') continue
    const own = relativeError(reference.value, expected)
    assert.ok(own < REFERENCE_TOLERANCE, `${what}: the reference's relative error is ${own}`)
  }
}

const names = [
  'conv2d',
  'maxPool2d',
  'batchNorm',
  'globalAvgPool',
  'linear',
  'softmaxCrossEntropy',
  'squaredError',
]

for (const name of names)
  test(`${name} agrees with PyTorch in float64`, async () => {
    // On a software driver also in the shape that kernels take on a real GPU.
    const { gpu, wide } = await openDevices()
    const fixtures = await readOpFixtures(name)
    assert.ok(fixtures.length > 0)
    for (const fixture of fixtures) {
      await checkFixture(gpu, registeredOps().get(name)!, fixture)
      await checkFixture(wide, registeredOps().get(name)!, fixture)
    }
    gpu.close()
  })

test.run()
