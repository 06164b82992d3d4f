import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { add } from '../../src/autograd/ops/add.ts'
import { batchNorm } from '../../src/autograd/ops/batchNorm.ts'
import { maxPool2d } from '../../src/autograd/ops/maxPool2d.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import { maxPool2dWithIndices } from '../../src/selfTest/reference/maxPool2d.ts'
import { withGradient } from './withGradient.ts'

// Arrays of 135 MiB; a kernel binds 128, which is all that many devices allow.
const SHAPE = [22, 112, 112, 128]
const LENGTH = SHAPE.reduce((a, b) => a * b)
const CHANNELS = SHAPE[3]!
const ROWS = LENGTH / CHANNELS

/** Runs `body` on such a device with a tape. */
async function onDevice(body: (gpu: Gpu, tape: Tape) => Promise<void>): Promise<void> {
  const gpu = await openGpu({ largestBinding: 2 ** 27 })
  await body(gpu, new Tape(gpu))
  gpu.close()
}

/** The first element that is not the expected one, with how far it is off. */
function firstWrong(found: Float32Array, expected: (i: number) => number): string | undefined {
  for (let i = 0; i < found.length; i++)
    if (found[i] !== expected(i)) return `element ${i} is ${found[i]}, expected ${expected(i)}`
  return undefined
}

test('a sum of tensors over 128 MiB, to the bit', () =>
  onDevice(async (gpu, tape) => {
    const [a, b] = [hashValues(LENGTH, 1), hashValues(LENGTH, 2)]
    const y = add(
      tape,
      { a: new Tensor(gpu.upload('f32', SHAPE, a)), b: new Tensor(gpu.upload('f32', SHAPE, b)) },
      {},
    )
    const found = await gpu.read(y.value)
    assert.is(
      firstWrong(found, (i) => Math.fround(a[i]! + b[i]!)),
      undefined,
    )
  }))

test('max pooling of a tensor over 128 MiB, and its gradient', () =>
  onDevice(async (gpu, tape) => {
    const x = hashValues(LENGTH, 1)
    const attributes = { size: 3, stride: 2, padding: 1 }
    const expected = maxPool2dWithIndices(
      { x: { value: new Float64Array(x), shape: SHAPE } },
      attributes,
    )
    const leaf = new Tensor(gpu.upload('f32', SHAPE, x), true)
    const y = tape.keep(maxPool2d(tape, { x: leaf }, attributes))
    const dy = hashValues(y.value.length, 3)
    tape.backward(withGradient(tape, { x: y }, { dy: gpu.upload('f32', y.shape, dy) }))
    const found = await gpu.read(y.value)
    assert.is(
      firstWrong(found, (i) => expected.y.value[i]!),
      undefined,
    )
    const dx = new Float64Array(LENGTH)
    for (const [i, at] of expected.indices.entries()) dx[at]! += dy[i]!
    // At most four terms each.
    const error = relativeError(await gpu.read(leaf.gradient!), dx)
    assert.ok(error < 1e-7, `gradient: relative error ${error}`)
  }))

/**
 * Output and gradients of a batch norm with ReLU in float64.
 *
 * @param on the output on the device, which says on which side of the kink a value within rounding lies
 */
function batchNormReference(
  [x, dy, on]: readonly [Float32Array, Float32Array, Float32Array],
  [gamma, beta]: readonly [Float32Array, Float32Array],
  eps: number,
) {
  const zeros = () => new Float64Array(CHANNELS)
  const [mean, variance, dgamma, dbeta] = [zeros(), zeros(), zeros(), zeros()]
  for (let i = 0; i < LENGTH; i++) mean[i % CHANNELS]! += x[i]! / ROWS
  for (let i = 0; i < LENGTH; i++)
    variance[i % CHANNELS]! += (x[i]! - mean[i % CHANNELS]!) ** 2 / ROWS
  const inverse = variance.map((v) => 1 / Math.sqrt(v + eps))
  const y = new Float64Array(LENGTH)
  for (let i = 0; i < LENGTH; i++) {
    const c = i % CHANNELS
    const normal = (x[i]! - mean[c]!) * inverse[c]!
    y[i] = Math.max(0, normal * gamma[c]! + beta[c]!)
    if (on[i]! <= 0) continue
    dgamma[c]! += dy[i]! * normal
    dbeta[c]! += dy[i]!
  }
  const dx = new Float64Array(LENGTH)
  for (let i = 0; i < LENGTH; i++) {
    const c = i % CHANNELS
    const normal = (x[i]! - mean[c]!) * inverse[c]!
    const g = on[i]! > 0 ? dy[i]! : 0
    dx[i] = gamma[c]! * inverse[c]! * (g - (dbeta[c]! + normal * dgamma[c]!) / ROWS)
  }
  return { y, dx, dgamma, dbeta }
}

test('batch norm with ReLU of a tensor over 128 MiB, and its gradients', () =>
  onDevice(async (gpu, tape) => {
    const [x, dy] = [hashValues(LENGTH, 1), hashValues(LENGTH, 2)]
    const gamma = hashValues(CHANNELS, 3).map((v) => v + 1)
    const beta = hashValues(CHANNELS, 4)
    const eps = 1e-5
    const [leaf, scale, shift] = [
      new Tensor(gpu.upload('f32', SHAPE, x), true),
      new Tensor(gpu.upload('f32', [CHANNELS], gamma), true),
      new Tensor(gpu.upload('f32', [CHANNELS], beta), true),
    ]
    const y = tape.keep(
      batchNorm(
        tape,
        { x: leaf!, gamma: scale!, beta: shift! },
        {
          training: true,
          relu: true,
          eps,
          momentum: 0.1,
          runningMean: gpu.zeros('f32', [CHANNELS]),
          runningVar: gpu.zeros('f32', [CHANNELS]),
        },
      ),
    )
    tape.backward(withGradient(tape, { x: y }, { dy: gpu.upload('f32', SHAPE, dy) }))
    const found = {
      y: await gpu.read(y.value),
      dx: await gpu.read(leaf!.gradient!),
      dgamma: await gpu.read(scale!.gradient!),
      dbeta: await gpu.read(shift!.gradient!),
    }
    const expected = batchNormReference([x, dy, found.y], [gamma, beta], eps)
    // Chains of 4,096 rows: measured below 9e-7.
    for (const [name, values] of Object.entries(found)) {
      const error = relativeError(values, expected[name as keyof typeof found])
      assert.ok(error < 5e-6, `${name}: relative error ${error}`)
    }
  }))

test.run()
