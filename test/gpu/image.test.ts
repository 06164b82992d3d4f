import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuError } from '../../src/gpu/errors.ts'
import { flatImage } from '../../src/gpu/flatImage.ts'
import { kernels } from '../../src/gpu/generated/kernels.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { thrown } from '../thrown.ts'

// What kernels read from images is tested with the Gram products, in analysis/cka.
const gpu = await openGpu()
test.after(() => gpu.close())

test('images are counted, kept and handed out again by their width', async () => {
  const before = gpu.memory()
  const image = gpu.image(32, 3)
  assert.is(gpu.memory().live - before.live, 32 * 3 * 16)
  image.release()
  const again = gpu.image(32, 3)
  assert.is(again.storage.resource, image.storage.resource)
  again.release()
  const lower = gpu.image(32, 2)
  const higher = gpu.image(32, 4)
  const turned = gpu.image(2, 32)
  assert.is(lower.storage.resource, image.storage.resource)
  for (const other of [higher, turned])
    assert.is.not(other.storage.resource, image.storage.resource)
  assert.is(gpu.memory().live - before.live, (32 * (3 + 4) + 2 * 32) * 16)
  assert.is(gpu.memory().created - before.created, 3)
  for (const one of [lower, higher, turned]) one.release()
  gpu.trim()
  assert.is(gpu.memory().live + gpu.memory().pooled, before.live + before.pooled)
})

test('an image that is too large, or that an array does not fit into, is refused', async () => {
  const refused = async (call: () => unknown, why: RegExp) => {
    const error = await thrown(call)
    assert.instance(error, GpuError)
    assert.match(error.message, why)
  }
  const side = gpu.device.limits.maxTextureDimension2D + 1
  await refused(() => gpu.image(side, 1), /sides of at most/)
  const image = gpu.image(32, 2)
  const array = gpu.zeros('f32', [2, 32, 4])
  gpu.copyToImage(array, image, 32)
  await gpu.idle()
  for (const width of [8, 24, 16, 64, 48])
    await refused(() => gpu.copyToImage(array, image, width), /^copy of .* into an image/)
  image.release()
  await refused(() => gpu.copyToImage(array, image, 32), /was released before/)
  array.release()
})

test('a kernel refuses an array where it reads an image, and the other way round', async () => {
  const x = gpu.zeros('f32', [1, 4])
  const call = (buffers: object, images: boolean) =>
    gpu.dispatch(kernels.conv2d_forward, {
      constants: { LANES: 8 },
      conditions: {
        ...Object.fromEntries(kernels.conv2d_forward.conditions.map((name) => [name, false])),
        CI4: true,
        X_IMAGE: images,
      },
      params: Object.fromEntries(
        Object.keys(kernels.conv2d_forward.params).map((name) => [name, 1]),
      ),
      workgroups: [1, 1, 1],
      buffers,
    } as never)
  const image = flatImage(gpu, x)
  const w = gpu.zeros('f32', [4, 1])
  const y = gpu.zeros('f32', [1])
  const refused = async (body: () => void, why: RegExp) => {
    const error = await thrown(body)
    assert.instance(error, GpuError)
    assert.match(error.message, why)
  }
  await refused(() => call({ x: image, w, y }, false), /x is an image, expected an array/)
  await refused(() => call({ x, w, y }, true), /x is an array, expected an image/)
})

test.run()
