import type { Gpu } from './gpu.ts'
import { GpuArray } from './gpuArray.ts'
import { Storage } from './storage.ts'

/**
 * Memory that the device and the host both reach, for arrays that pass one after the other: unlike
 * `Gpu.read` and `Gpu.write`, which take fresh memory each time, it is kept, as large as the largest
 * array so far, and bytes can go straight between it and a file.
 */
export class HostWindow {
  #out: GPUBuffer | undefined
  #in: GPUBuffer | undefined

  constructor(private readonly gpu: Gpu) {}

  /**
   * Runs what was recorded, and shows an array's values.
   *
   * @param use may look at them until it returns
   */
  async read(array: GpuArray<'f32'>, use: (values: Float32Array) => void): Promise<void> {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
    this.#out = this.#atLeast(array, this.#out, usage)
    this.gpu.copy(array, over(this.#out, array))
    // A lost device says so here rather than by a mapping that is aborted.
    await this.gpu.idle()
    await this.#mapped(this.#out, GPUMapMode.READ, array, use)
  }

  /**
   * Runs what was recorded, and records that an array's values are replaced.
   *
   * @param fill sets all of them
   */
  async write(array: GpuArray<'f32'>, fill: (values: Float32Array) => void): Promise<void> {
    const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC
    // An earlier array may still have to be copied out of the buffer.
    await this.gpu.idle()
    this.#in = this.#atLeast(array, this.#in, usage)
    await this.#mapped(this.#in, GPUMapMode.WRITE, array, fill)
    this.gpu.copy(over(this.#in, array), array)
  }

  /** Gives the memory back, when what was recorded has run. */
  release(): void {
    this.#out?.destroy()
    this.#in?.destroy()
    this.#out = this.#in = undefined
  }

  #atLeast(
    array: GpuArray<'f32'>,
    kept: GPUBuffer | undefined,
    usage: GPUBufferUsageFlags,
  ): GPUBuffer {
    const size = 4 * array.length
    if (kept && kept.size >= size) return kept
    kept?.destroy()
    return this.gpu.device.createBuffer({ label: 'host window', size, usage })
  }

  async #mapped(
    buffer: GPUBuffer,
    mode: GPUMapModeFlags,
    { length }: GpuArray<'f32'>,
    use: (values: Float32Array) => void,
  ): Promise<void> {
    await buffer.mapAsync(mode, 0, 4 * length)
    try {
      use(new Float32Array(buffer.getMappedRange(0, 4 * length), 0, length))
    } finally {
      buffer.unmap()
    }
  }
}

/** A buffer as an array of another's shape, to copy from or to. */
function over(buffer: GPUBuffer, { dtype, shape }: GpuArray<'f32'>): GpuArray<'f32'> {
  return new GpuArray(dtype, shape, new Storage(buffer, buffer.size, 'host window', () => {}))
}
