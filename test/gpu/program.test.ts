import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuError } from '../../src/gpu/errors.ts'
import type { GpuArray } from '../../src/gpu/gpuArray.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { thrown } from '../thrown.ts'
import { accumulate } from './accumulate.ts'

// Small integers: every sum below is exact in f32.
const gpu = await openGpu()
test.after(() => gpu.close())

/** x + x in a recorded array, added to `sum`. */
async function recordDoubling(x: GpuArray<'f32'>, sum: GpuArray<'f32'>) {
  return gpu.record(() => {
    const double = gpu.zeros('f32', x.shape)
    accumulate(gpu, x, double)
    const copy = gpu.empty('f32', x.shape)
    gpu.copy(x, copy)
    accumulate(gpu, copy, double)
    copy.release()
    accumulate(gpu, double, sum)
    return double
  })
}

test('a program runs each time on what its arrays hold then', async () => {
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const sum = gpu.zeros('f32', [3])
  const { program, result } = await recordDoubling(x, sum)
  assert.equal(await gpu.read(sum), new Float32Array(3), 'recording runs nothing')
  assert.is(program.dispatches, 3)
  program.run()
  program.run()
  assert.equal(await gpu.read(sum), Float32Array.of(4, 8, 12))
  assert.equal(await gpu.read(result), Float32Array.of(2, 4, 6))
  gpu.write(x, Float32Array.of(10, 20, 30))
  program.run()
  gpu.write(x, Float32Array.of(100, 200, 300))
  program.run()
  assert.equal(await gpu.read(sum), Float32Array.of(224, 448, 672))
  program.dispose()
  for (const array of [x, sum]) array.release()
})

test('runs create no buffer, bind group or pipeline', async () => {
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const sum = gpu.zeros('f32', [3])
  const { program } = await recordDoubling(x, sum)
  const before = gpu.memory()
  for (let i = 0; i < 50; i++) program.run()
  await gpu.submitted()
  assert.equal(gpu.memory(), before)
  assert.equal(await gpu.read(sum), Float32Array.of(100, 200, 300))
  program.dispose()
  for (const array of [x, sum]) array.release()
})

test('a program owns what was made while it was recorded, until it is disposed of, once', async () => {
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const sum = gpu.zeros('f32', [3])
  const before = gpu.memory()
  const { program, result } = await recordDoubling(x, sum)
  const other = gpu.zeros('f32', [3])
  assert.is(gpu.memory().live, before.live + 512, "its result and `other`, which isn't its own")
  await gpu.flush()
  program.run()
  await gpu.idle()
  program.dispose()
  program.dispose()
  const after = gpu.memory()
  assert.is(after.live, before.live + 256)
  assert.is(after.buffers, before.buffers + 1)
  result.release()
  assert.equal(gpu.memory(), after, 'a result outlives its program harmlessly')
  const error = await thrown(() => program.run())
  assert.instance(error, GpuError)
  assert.match(error.message, 'this program was disposed of')
  assert.equal(await gpu.read(other), new Float32Array(3))
  for (const array of [x, sum, other]) array.release()
})

test('disposing of a program that was just submitted lets it finish', async () => {
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const sum = gpu.zeros('f32', [3])
  const { program } = await recordDoubling(x, sum)
  program.run()
  program.dispose()
  assert.equal(await gpu.read(sum), Float32Array.of(2, 4, 6))
  for (const array of [x, sum]) array.release()
})

test('a program does not overtake commands that wait or are being compiled', async () => {
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const sum = gpu.zeros('f32', [3])
  const { program } = await recordDoubling(x, sum)
  gpu.clear(sum)
  assert.match((await thrown(() => program.run())).message, 'commands wait to run')
  const flushed = gpu.flush()
  assert.match((await thrown(() => program.run())).message, 'commands wait to run')
  await flushed
  program.run()
  assert.equal(await gpu.read(sum), Float32Array.of(2, 4, 6))
  program.dispose()
  for (const array of [x, sum]) array.release()
})

test('recording two programs at once keeps their commands and arrays apart', async () => {
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const sum = gpu.zeros('f32', [3])
  const recordings = await Promise.all([recordDoubling(x, sum), recordDoubling(x, sum)])
  for (const { program } of recordings) {
    assert.is(program.dispatches, 3)
    program.run()
    program.dispose()
  }
  assert.equal(await gpu.read(sum), Float32Array.of(4, 8, 12))
  for (const array of [x, sum]) array.release()
})

test('only device work can be recorded', async () => {
  const x = gpu.zeros('f32', [3])
  await gpu.flush()
  const before = gpu.memory()
  const data = new Float32Array(3)
  const throwing: [string, () => unknown][] = [
    ['write', () => gpu.write(x, data)],
    ['upload', () => gpu.upload('f32', [3], data)],
  ]
  for (const [name, body] of throwing) {
    const error = await thrown(() => gpu.record(body))
    assert.instance(error, GpuError)
    assert.match(error.message, `${name} inside record`)
  }
  const rejecting: [string, () => Promise<unknown>][] = [
    ['record', () => gpu.record(() => {})],
    ['read', () => gpu.read(x)],
    ['flush', () => gpu.flush()],
  ]
  for (const [name, body] of rejecting) {
    let inner: Promise<Error> | undefined
    const { program } = await gpu.record(() => {
      inner = thrown(body)
    })
    assert.match((await inner)?.message ?? '', `${name} inside record`)
    assert.is(program.dispatches, 0)
    program.run()
    program.dispose()
  }
  assert.equal(gpu.memory(), before)
  x.release()
})

test('an error while recording gives back what was made and leaves the queue as it was', async () => {
  const sum = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const one = gpu.upload('f32', [3], Float32Array.of(1, 1, 1))
  await gpu.flush()
  const before = gpu.memory()
  const error = await thrown(() =>
    gpu.record(() => {
      accumulate(gpu, one, sum)
      gpu.zeros('f32', [1000])
      throw new RangeError('of the user')
    }),
  )
  assert.instance(error, RangeError)
  const { peak: _, created: __, ...after } = gpu.memory()
  const { peak: ___, created: ____, ...expected } = before
  assert.equal(after, expected)
  accumulate(gpu, one, sum)
  assert.equal(await gpu.read(sum), Float32Array.of(2, 3, 4))
  for (const array of [sum, one]) array.release()
})

test.run()
