import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuError } from '../../src/gpu/errors.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { thrown } from '../thrown.ts'

// What kernels read from images is tested with the Gram products, in analysis/cka.
const gpu = await openGpu()
test.after(() => gpu.close())

test('images are counted, kept and handed out again by their shape', async () => {
  const before = gpu.memory()
  const image = gpu.image(32, 3)
  assert.is(gpu.memory().live - before.live, 32 * 3 * 16)
  image.release()
  const again = gpu.image(32, 3)
  const turned = gpu.image(3, 32)
  assert.is(again.storage.resource, image.storage.resource)
  assert.is.not(turned.storage.resource, image.storage.resource)
  assert.is(gpu.memory().created - before.created, 2)
  for (const one of [again, turned]) one.release()
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
  for (const width of [8, 24, 16, 64])
    await refused(() => gpu.copyToImage(array, image, width), /^copy of .* into an image/)
  image.release()
  await refused(() => gpu.copyToImage(array, image, 32), /was released before/)
  array.release()
})

test.run()
