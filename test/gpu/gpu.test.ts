import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { elementwiseCall } from '../../src/gpu/elementwise.ts'
import { GpuError, GpuOutOfMemoryError } from '../../src/gpu/errors.ts'
import { kernels } from '../../src/gpu/generated/kernels.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { withBindingLimit } from '../devices.ts'
import { thrown } from '../thrown.ts'
import { accumulate } from './accumulate.ts'

// Every comparison here is exact: bytes are moved, small integers added.
const gpu = await openGpu()
test.after(() => gpu.close())

const HOST = {
  f32: (n: number) => Float32Array.from({ length: n }, (_, i) => (i - 3) / 7),
  u32: (n: number) => Uint32Array.from({ length: n }, (_, i) => 0xffffffff - 77 * i),
  i32: (n: number) => Int32Array.from({ length: n }, (_, i) => -0x80000000 + 77 * i),
}

for (const dtype of ['f32', 'u32', 'i32'] as const)
  test(`${dtype} arrays of any length come back as they were uploaded`, async () => {
    for (const length of [0, 1, 2, 3, 4, 5, 63, 64, 65, 4097]) {
      const data = HOST[dtype](length)
      const array = gpu.upload(dtype, [length], data)
      assert.equal(await gpu.read(array), data, `${length} elements`)
      array.release()
    }
    const part = HOST[dtype](100).subarray(7, 20)
    const array = gpu.upload(dtype, [13], part)
    assert.equal(await gpu.read(array), part.slice(), 'a part of a larger buffer')
    array.release()
  })

test('NaN, infinities, subnormal numbers and negative zero keep their bits', async () => {
  const bits = Uint32Array.of(0x7fc00001, 0x7f800000, 0xff800000, 0x00000001, 0x80000000)
  const array = gpu.upload('f32', [5], new Float32Array(bits.buffer))
  assert.equal(new Uint32Array((await gpu.read(array)).buffer), bits)
  array.release()
})

test('arrays of no elements can be cleared, copied, written and read', async () => {
  const [a, b] = [gpu.zeros('f32', [0, 3]), gpu.empty('f32', [3, 0])]
  gpu.copy(a, b)
  gpu.write(b, new Float32Array(0))
  accumulate(gpu, a, b)
  assert.equal(await gpu.read(b), new Float32Array(0))
  for (const array of [a, b]) array.release()
})

test('data is copied when write and upload are called, also behind waiting commands', async () => {
  for (const waits of [false, true]) {
    const other = gpu.empty('f32', [2])
    if (waits) gpu.clear(other)
    const data = Float32Array.of(1, 2)
    const array = gpu.upload('f32', [2], data)
    data.fill(9)
    assert.equal(await gpu.read(array), Float32Array.of(1, 2), `${waits}`)
    for (const a of [array, other]) a.release()
  }
})

test('a write does not overtake commands that wait', async () => {
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const y = gpu.zeros('f32', [3])
  accumulate(gpu, x, y)
  gpu.write(x, Float32Array.of(10, 20, 30))
  accumulate(gpu, x, y)
  assert.equal(await gpu.read(y), Float32Array.of(11, 22, 33))
  for (const array of [x, y]) array.release()
})

test('nor commands whose kernel is still being compiled, whose flush is not awaited', async () => {
  const fresh = await openGpu()
  const x = fresh.upload('f32', [3], Float32Array.of(1, 2, 3))
  const y = fresh.zeros('f32', [3])
  const z = fresh.zeros('f32', [3])
  fresh.dispatch(kernels.elementwise_accumulate, {
    ...elementwiseCall(fresh, y, {}),
    buffers: { x, y },
  })
  const first = fresh.read(y)
  fresh.write(x, Float32Array.of(10, 20, 30))
  // Nothing of this flush needs compiling, yet it must come second.
  fresh.copy(y, z)
  fresh.clear(y)
  const second = fresh.read(z)
  assert.equal(await second, Float32Array.of(1, 2, 3))
  assert.equal(await first, Float32Array.of(1, 2, 3))
  assert.equal(await fresh.read(x), Float32Array.of(10, 20, 30))
  assert.equal(await fresh.read(y), new Float32Array(3))
  fresh.close()
})

test('a read gives what the array held when it was called', async () => {
  const a = gpu.upload('f32', [4], Float32Array.of(1, 2, 3, 4))
  const pending = gpu.read(a)
  a.release()
  const b = gpu.upload('f32', [4], Float32Array.of(5, 6, 7, 8))
  gpu.clear(b)
  assert.equal(await pending, Float32Array.of(1, 2, 3, 4))
  assert.equal(await gpu.read(b), new Float32Array(4))
  b.release()
})

test('copy and clear', async () => {
  const x = gpu.upload('i32', [5], HOST.i32(5))
  const y = gpu.zeros('i32', [5])
  gpu.copy(x, y)
  gpu.clear(x)
  assert.equal(await gpu.read(y), HOST.i32(5))
  assert.equal(await gpu.read(x), new Int32Array(5))
  const longer = gpu.empty('i32', [2, 3])
  assert.match((await thrown(() => gpu.copy(x, longer))).message, 'copy of [5] into [2,3]')
  for (const array of [x, y, longer]) array.release()
})

test('a constant costs no command and is known by its value', async () => {
  const { program, result } = await gpu.record(() => gpu.constant(-0.5))
  assert.is(program.dispatches, 0)
  const again = gpu.constant(-0.5)
  assert.is(again.storage, result.storage)
  result.release()
  program.dispose()
  assert.equal(await gpu.read(again), Float32Array.of(-0.5))
  assert.ok(gpu.isConstant(again, -0.5))
  assert.not.ok(gpu.isConstant(again, 1))
  assert.not.ok(gpu.isConstant(gpu.constant(1), -0.5))
  again.release()
})

test('reshape shares the storage, which lives as long as one of its arrays', async () => {
  const before = gpu.memory().live
  const x = gpu.upload('f32', [2, 3], HOST.f32(6))
  const y = x.reshape([3, 2])
  assert.equal(y.shape, [3, 2])
  x.release()
  assert.equal(await gpu.read(y), HOST.f32(6))
  assert.is(gpu.memory().live, before + 256)
  assert.match((await thrown(() => y.reshape([4]))).message, 'reshape of [3,2] to [4]')
  y.retain().release()
  y.release()
  assert.is(gpu.memory().live, before)
})

test('an array can be released once, and not be used after that', async () => {
  const x = gpu.empty('f32', [3], 'x')
  const y = gpu.zeros('f32', [3], 'y')
  x.release()
  const calls: [string, () => unknown][] = [
    ['release', () => x.release()],
    ['retain', () => x.retain()],
    ['reshape', () => x.reshape([1, 3])],
    ['read', () => gpu.read(x)],
    ['write', () => gpu.write(x, new Float32Array(3))],
    ['clear', () => gpu.clear(x)],
    ['copy from', () => gpu.copy(x, y)],
    ['copy to', () => gpu.copy(y, x)],
    ['dispatch', () => accumulate(gpu, x, y)],
  ]
  for (const [name, call] of calls) {
    const error = await thrown(call)
    assert.instance(error, GpuError, name)
    assert.match(error.message, /\bx\b.* released/, name)
  }
  y.release()
})

test('a released buffer serves the next array of its size, under the new name', async () => {
  gpu.empty('f32', [1000], 'first').release()
  const before = gpu.memory()
  const second = gpu.empty('u32', [10, 100], 'second')
  const { created, live, pooled } = gpu.memory()
  assert.is(created, before.created)
  assert.is(live + pooled, before.live + before.pooled)
  second.release()
  assert.match((await thrown(() => second.release())).message, 'array second was released twice')
})

test('data of the wrong length or type is refused and leaves nothing behind', async () => {
  const before = gpu.memory().live
  const wrong = new Float32Array(4)
  assert.is(
    (await thrown(() => gpu.upload('f32', [5], wrong))).message,
    'data is a Float32Array of 4, expected a Float32Array of 5 for f32 [5]',
  )
  const array = gpu.empty('u32', [4])
  const untyped = wrong as unknown as Uint32Array
  assert.match(
    (await thrown(() => gpu.write(array, untyped))).message,
    'expected a Uint32Array of 4 for u32 [4]',
  )
  for (const shape of [[-1], [1.5], [Number.NaN]])
    assert.match(
      (await thrown(() => gpu.empty('f32', shape, 'weights'))).message,
      `shape [${shape}] of weights`,
    )
  array.release()
  assert.is(gpu.memory().live, before)
})

test('an array larger than a buffer is refused with its name', async () => {
  const { maxBufferSize } = gpu.device.limits
  const error = await thrown(() =>
    gpu.empty('f32', [Math.ceil(maxBufferSize / 4) + 1], 'huge activations'),
  )
  assert.instance(error, GpuOutOfMemoryError)
  assert.match(error.message, /^huge activations needs \d+ bytes/)
  assert.match(error.message, `at most ${maxBufferSize}`)
})

test('an array larger than a binding is refused where a kernel would bind it', async () => {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits
  assert.is(gpu.largestBinding, Math.min(maxBufferSize, maxStorageBufferBindingSize))
  for (const wrong of [0, -1, Number.NaN])
    assert.match((await thrown(() => withBindingLimit(gpu, wrong))).message, `is ${wrong}`)
  const small = withBindingLimit(gpu, 1024)
  const x = small.empty('f32', [2, 129], 'huge activations')
  const y = small.empty('f32', [256])
  const launch = { params: { items: 64, itemsPerLane: 8 }, workgroups: [1, 1, 1] } as const
  const error = await thrown(() =>
    small.dispatch(kernels.relu_forward, { ...launch, constants: { LANES: 8 }, buffers: { x, y } }),
  )
  assert.instance(error, GpuOutOfMemoryError)
  assert.match(
    error.message,
    /relu_forward.*: x \(huge activations\) \[2,129\] needs 1040 bytes, but this device binds at most 1024 at once/,
  )
  await small.idle()
})

test.run()
