import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { add } from '../../src/autograd/ops/add.ts'
import { globalAvgPool } from '../../src/autograd/ops/globalAvgPool.ts'
import { relu } from '../../src/autograd/ops/relu.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { kernels } from '../../src/gpu/generated/kernels.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import { globalAvgPool as averageReference } from '../../src/selfTest/reference/globalAvgPool.ts'
import { weightedSum } from '../../src/selfTest/testOps.ts'

test('relu has gradient 0 at 0 and below, also at -0', async () => {
  const gpu = await openGpu()
  const x = new Tensor(gpu.upload('f32', [5], Float32Array.of(0, -0, 1e-30, -1e-30, 2)), true)
  const tape = new Tape(gpu)
  const r = gpu.upload('f32', [5], Float32Array.of(1, 2, 3, 4, 5))
  tape.backward(weightedSum(tape, { x: relu(tape, { x }, {}) }, { r }))
  assert.equal([...(await gpu.read(x.gradient!))], [0, 0, 3, 0, 5])
  gpu.close()
})

test('relu and add cover arrays that take more workgroups than the device wants', async () => {
  const gpu = await openGpu()
  // An invocation takes at most 512 vec4s; three elements are left over from the last vec4.
  const { lanes, targetWorkgroups } = gpu.profile
  const length = 4 * Math.min(lanes * targetWorkgroups * 512 + 1000, 2 ** 20) + 3
  const values = hashValues(length, 1)
  const x = new Tensor(gpu.upload('f32', [length], values))
  const tape = new Tape(gpu, false)
  const y = add(tape, { a: relu(tape, { x }, {}), b: x }, {})
  assert.equal(
    await gpu.read(y.value),
    values.map((v) => Math.fround(Math.max(v, 0) + v)),
  )
  gpu.close()
})

test('elementwise kernels count their workgroups over x and y', async () => {
  const gpu = await openGpu()
  const { lanes } = gpu.profile
  const values = hashValues(4 * lanes * 2 * 5, 1)
  const x = gpu.upload('f32', [values.length], values)
  const y = gpu.zeros('f32', [values.length])
  // Five workgroups' work on a grid of six: the last one has nothing to do.
  gpu.dispatch(kernels.relu_forward, {
    constants: { LANES: lanes },
    buffers: { x, y },
    params: { items: values.length / 4, itemsPerLane: 2 },
    workgroups: [2, 3, 1],
  })
  assert.equal(
    await gpu.read(y),
    values.map((v) => Math.max(v, 0)),
  )
  gpu.close()
})

test('add refuses shapes that differ, without broadcasting', async () => {
  const gpu = await openGpu()
  const tape = new Tape(gpu)
  const a = new Tensor(gpu.zeros('f32', [2, 3]), true)
  await gpu.flush()
  for (const shape of [[3], [1, 3], [3, 2], [2, 3, 1]]) {
    const b = new Tensor(gpu.zeros('f32', shape))
    await gpu.flush()
    const { program } = await gpu.record(() => {
      assert.throws(
        () => add(tape, { a, b }, {}),
        (e: Error) => e.message === `add: b is [${shape}], expected the shape of a, [2,3]`,
      )
    })
    assert.is(program.dispatches, 0)
  }
  gpu.close()
})

test('globalAvgPool of large images keeps its accuracy, and refuses other ranks', async () => {
  const gpu = await openGpu()
  for (const channels of [1, 3, 8, 55, 104]) {
    const shape = [2, 57, 43, channels]
    // A mean of 100 makes the sum 245,100 times an element's rounding error.
    const values = hashValues(2 * 57 * 43 * channels, 1).map((v) => v + 100)
    const x = new Tensor(gpu.upload('f32', shape, values))
    const y = globalAvgPool(new Tape(gpu, false), { x }, {})
    const expected = averageReference({ x: { value: Float64Array.from(values), shape } })
    assert.equal(y.shape, expected.shape)
    const error = relativeError(await gpu.read(y.value), expected.value)
    // (57 + 43) * 2^-24 is 6e-6 at worst; measured below 1.3e-7.
    assert.ok(error < 1e-6, `${channels} channels: relative error ${error}`)
  }
  const flat = new Tensor(gpu.zeros('f32', [2, 3]))
  assert.throws(
    () => globalAvgPool(new Tape(gpu), { x: flat }, {}),
    (e: Error) => e.message === 'globalAvgPool: x is [2,3], expected [N, H, W, C]',
  )
  gpu.close()
})

test.run()
