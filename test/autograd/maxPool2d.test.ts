import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type MaxPool2dAttributes, maxPool2d } from '../../src/autograd/ops/maxPool2d.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { hashBits } from '../../src/selfTest/reference/compare.ts'
import { zeros } from '../../src/selfTest/reference/hostTensor.ts'
import { maxPool2dWithIndices } from '../../src/selfTest/reference/maxPool2d.ts'
import { weightedSum } from '../../src/selfTest/testOps.ts'

/** Whole numbers from 0 to levels - 1, so that windows are full of ties. */
function integers(length: number, seed: number, levels: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => hashBits(i, seed) % levels)
}

async function pool(
  gpu: Gpu,
  shape: readonly number[],
  data: Float32Array,
  dy: Float32Array,
  attributes: MaxPool2dAttributes,
) {
  const x = new Tensor(gpu.upload('f32', shape, data), true)
  const tape = new Tape(gpu)
  const y = tape.keep(maxPool2d(tape, { x }, attributes))
  tape.backward(weightedSum(tape, { x: y }, { r: gpu.upload('f32', [dy.length], dy) }))
  return { shape: y.shape, y: await gpu.read(y.value), dx: await gpu.read(x.gradient!) }
}

const windows: MaxPool2dAttributes[] = [
  { size: 3, stride: 2, padding: 1 },
  { size: 2 },
  { size: 3, stride: 1, padding: 1 },
  { size: 1, stride: 2 },
  { size: [1, 3], stride: [2, 1], padding: [0, 1] },
  { size: 2, stride: 3, padding: 1 },
  { size: 5, stride: 1, padding: 2 },
  { size: 3, stride: 2, padding: 'same' },
  { size: [2, 3], stride: [3, 1], padding: 'same' },
]

test('values and gradients are exact at ties, for every channel count and window', async () => {
  const gpu = await openGpu()
  for (const channels of [1, 3, 4, 5, 7, 8, 41, 47, 55, 104])
    for (const attributes of windows) {
      const shape = [channels === 8 ? 3 : 1, 7, 6, channels]
      const data = integers(zeros(shape).length, channels, 3)
      const { y, indices } = maxPool2dWithIndices(
        { x: { value: Float64Array.from(data), shape } },
        attributes,
      )
      // Sums of whole numbers: exact in f32.
      const dy = integers(y.value.length, 5, 100)
      const dx = new Float32Array(data.length)
      for (const [o, i] of indices.entries()) dx[i]! += dy[o]!
      const what = `${channels} channels, ${JSON.stringify(attributes)}`
      const actual = await pool(gpu, shape, data, dy, attributes)
      assert.equal(actual.shape, y.shape, what)
      assert.equal(actual.y, Float32Array.from(y.value), what)
      assert.equal(actual.dx, dx, what)
    }
  gpu.close()
})

test('padding is never chosen, not even of the lowest numbers', async () => {
  const gpu = await openGpu()
  const lowest = -3.4028234663852886e38
  for (const channels of [1, 4]) {
    const shape = [1, 3, 3, channels]
    const data = new Float32Array(9 * channels).fill(lowest)
    const dy = new Float32Array(4 * channels).fill(1)
    const result = await pool(gpu, shape, data, dy, { size: 3, stride: 2, padding: 1 })
    assert.ok(result.y.every((v) => v === lowest))
    // Of the tied windows each gives its first tap inside x: the pixels (0 or 1, 0 or 1).
    const first = [0, 1, 3, 4]
    assert.equal(
      result.dx,
      Float32Array.from({ length: 9 * channels }, (_, i) =>
        first.includes(Math.floor(i / channels)) ? 1 : 0,
      ),
    )
  }
  gpu.close()
})

test('refuses what does not fit before it dispatches or allocates anything', async () => {
  const gpu = await openGpu()
  const tape = new Tape(gpu)
  const make = (shape: number[]) => new Tensor(gpu.zeros('f32', shape), true)
  const image = make([1, 5, 5, 3])
  const flat = make([5, 3])
  await gpu.flush()
  const { live, created } = gpu.memory()
  const cases: [Tensor, MaxPool2dAttributes, string][] = [
    [flat, { size: 2 }, 'maxPool2d: x is [5,3], expected [N, H, W, C]'],
    [image, { size: 0 }, 'maxPool2d: size is 0, expected an integer of at least 1'],
    [image, { size: 1.5 }, 'maxPool2d: size is 1.5, expected an integer of at least 1'],
    [image, { size: 2, stride: 0 }, 'maxPool2d: stride is 0, expected an integer of at least 1'],
    [
      image,
      { size: 3, padding: -1 },
      'maxPool2d: padding is -1, expected an integer of at least 0',
    ],
    [
      image,
      { size: [3, 2], padding: [1, 2] },
      'maxPool2d: padding is [1, 2], expected at most half the size, [3, 2]',
    ],
    [
      image,
      { size: 8, padding: 1 },
      'maxPool2d: a window of size [8, 8] does not fit into x [1,5,5,3] with padding [1, 1]',
    ],
  ]
  for (const [x, attributes, message] of cases) {
    assert.throws(
      () => maxPool2d(tape, { x }, attributes),
      (error: Error) => error.message === message,
    )
    assert.equal([gpu.memory().live, gpu.memory().created], [live, created], message)
  }
  const { program } = await gpu.record(() => {
    for (const [x, attributes] of cases) assert.throws(() => maxPool2d(tape, { x }, attributes))
  })
  assert.is(program.dispatches, 0)
  gpu.close()
})

test.run()
