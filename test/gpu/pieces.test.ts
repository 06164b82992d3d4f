import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuOutOfMemoryError } from '../../src/gpu/errors.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { pieces } from '../../src/gpu/pieces.ts'
import { fillUniform } from '../../src/gpu/randomFill.ts'
import { hashValues } from '../../src/selfTest/reference/compare.ts'
import { thrown } from '../thrown.ts'

const LIMIT = 4096
const gpu = await openGpu({ largestBinding: LIMIT })
test.after(() => gpu.close())

test('arrays that fit are given as they are', () => {
  const [x, y] = [gpu.empty('f32', [16, 64]), gpu.empty('u32', [16, 3])]
  const found = pieces(gpu, 16, { x, y })
  assert.equal(
    found.map(({ first, count }) => [first, count]),
    [[0, 16]],
  )
  assert.is(found[0]!.views.x, x)
  assert.is(found[0]!.views.y, y)
  for (const array of [x, y]) array.release()
})

test('pieces are whole units, in order, of parts that can be bound', () => {
  const alignment = gpu.device.limits.minStorageBufferOffsetAlignment
  for (const [units, ...sizes] of [
    [1025, 1],
    [201, 12, 1],
    [999, 5, 7],
    [130, 16, 3],
    [2, 1024],
    [17, 64, 128],
  ] as const) {
    const arrays = Object.fromEntries(
      sizes.map((size, i) => [`a${i}`, gpu.empty('f32', [units, size])]),
    )
    const found = pieces(gpu, units, arrays)
    assert.ok(found.length > 1, `${units} units of ${sizes} are cut`)
    let next = 0
    for (const { first, count, views } of found) {
      assert.is(first, next)
      next += count
      for (const [name, view] of Object.entries(views)) {
        const whole = arrays[name]!
        assert.is(view.storage, whole.storage)
        assert.is(view.length, (count * whole.length) / units)
        assert.is(view.offset, (4 * first * whole.length) / units)
        assert.is(view.offset % alignment, 0)
        assert.ok(view.bindingSize <= LIMIT, `${view.bindingSize} bytes`)
      }
    }
    assert.is(next, units)
    for (const array of Object.values(arrays)) array.release()
  }
})

test('a last unit may be short', () => {
  const [x, y] = [gpu.empty('f32', [1500]), gpu.empty('f32', [1500])]
  const found = pieces(gpu, 4, { x, y }, 384)
  assert.equal(
    found.map(({ views }) => [views.x.offset / 4, views.x.length, views.y.length]),
    [
      [0, 768, 768],
      [768, 732, 732],
    ],
  )
  for (const array of [x, y]) array.release()
})

test('what cannot be cut finely enough is refused, naming the array', async () => {
  for (const [shape, least] of [
    [[3, 2048], 1],
    [[128, 33], 64],
  ] as const) {
    const x = gpu.empty('f32', shape, 'activations')
    const error = await thrown(() => pieces(gpu, shape[0], { x }))
    assert.instance(error, GpuOutOfMemoryError)
    assert.is(
      error.message,
      `x (activations) [${shape}] splits into no less than ${least} of its ${shape[0]} parts, which need ${4 * least * shape[1]} bytes, but this device binds at most ${LIMIT} at once`,
    )
    x.release()
  }
})

test('uploads, reads, copies and random draws pass the largest binding', async () => {
  const values = hashValues(5001, 1)
  const x = gpu.upload('f32', [5001], values)
  const y = gpu.empty('f32', [5001])
  gpu.copy(x, y)
  assert.equal(await gpu.read(y), values)
  fillUniform(gpu, y, { seed: 3, stream: 2, step: 1 })
  const whole = await openGpu()
  const expected = whole.empty('f32', [5001])
  fillUniform(whole, expected, { seed: 3, stream: 2, step: 1 })
  assert.equal(await gpu.read(y), await whole.read(expected))
  whole.close()
  for (const array of [x, y]) array.release()
})

test.run()
