import { GpuOutOfMemoryError, GpuValidationError } from './errors.ts'
import { GpuArray } from './gpuArray.ts'
import { GpuImage } from './gpuImage.ts'
import { isImage, type PipelineKey } from './kernel.ts'
import type { KernelInfo } from './kernelInfo.ts'

/**
 * Refuses what WebGPU would refuse only when the commands run, without naming the kernel.
 *
 * @param limits workgroups in one dimension, and bytes of a binding
 * @throws GpuValidationError when the number of workgroups is out of range, an array is missing, was
 *   released or is no image where the kernel reads one, or the other way round, or one that the kernel writes shares a buffer with another of its arrays
 * @throws GpuOutOfMemoryError when an array exceeds the largest binding
 */
export function checkCall(
  key: PipelineKey,
  buffers: Readonly<Record<string, GpuArray | GpuImage>>,
  workgroups: readonly [number, number, number],
  limits: { readonly workgroups: number; readonly binding: number },
): void {
  const { id, info } = key
  for (const count of workgroups)
    if (!Number.isInteger(count) || count < 1 || count > limits.workgroups)
      throw new GpuValidationError(
        `kernel ${id}: workgroups [${workgroups}] are outside 1..${limits.workgroups}`,
      )
  const names = Object.keys(info.bindings)
  for (const [name, binding] of Object.entries(info.bindings)) {
    const array = buffers[name]
    if (!array) throw new GpuValidationError(`kernel ${id}: no array is given for ${name}`)
    if (array.storage.uses === 0)
      throw new GpuValidationError(`kernel ${id}: ${name} [${array.shape}] was released before`)
    if (isImage(binding, key) !== array instanceof GpuImage) {
      const [is, expected] =
        array instanceof GpuImage ? ['an image', 'an array'] : ['an array', 'an image']
      throw new GpuValidationError(`kernel ${id}: ${name} is ${is}, expected ${expected}`)
    }
    if (array instanceof GpuArray && array.bindingSize > limits.binding)
      throw new GpuOutOfMemoryError(
        `kernel ${id}: ${name} (${array.storage.label}) [${array.shape}] needs ${array.bindingSize} bytes, but this device binds at most ${limits.binding} at once`,
      )
  }
  for (const [i, a] of names.entries())
    for (const b of names.slice(i + 1))
      if (conflict(info, buffers, a, b))
        throw new GpuValidationError(
          `kernel ${id}: ${a} and ${b} share a buffer, and the kernel writes to it`,
        )
}

function conflict(
  info: KernelInfo,
  buffers: Readonly<Record<string, GpuArray | GpuImage>>,
  a: string,
  b: string,
): boolean {
  const [x, y] = [buffers[a]!, buffers[b]!]
  if (x.storage.resource !== y.storage.resource) return false
  // A kernel only reads an image.
  if (x instanceof GpuImage || y instanceof GpuImage) return false
  const writes = [a, b].filter((name) => info.bindings[name]!.access === 'read_write').length
  if (writes < 2) return writes === 1
  return x.offset < y.offset + y.bindingSize && y.offset < x.offset + x.bindingSize
}
