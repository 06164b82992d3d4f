import type { Gpu } from './gpu.ts'
import type { GpuArray } from './gpuArray.ts'
import type { GpuImage } from './gpuImage.ts'

/** Pixels of a line, as in shaders/lib/flat_image.wesl: most layers' arrays are whole lines, so that one copy is enough. */
const WIDTH = 1024

/** Whether an array of whole vec4s fits into one image. */
export function fitsFlatImage(gpu: Gpu, { length }: GpuArray): boolean {
  return length % 4 === 0 && length / 4 <= WIDTH * gpu.device.limits.maxTextureDimension2D
}

/** A copy of an array as an image, four values a pixel, line after line of 1,024; the caller releases it. */
export function flatImage(gpu: Gpu, array: GpuArray<'f32'>): GpuImage {
  const image = gpu.image(WIDTH, Math.ceil(array.length / 4 / WIDTH), array.storage.label)
  gpu.copyToImage(array, image, WIDTH)
  return image
}
