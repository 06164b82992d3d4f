import { GpuError } from './errors.ts'
import type { Storage } from './storage.ts'

export const IMAGE_FORMAT = 'rgba32float'

/** Bytes of a pixel: four f32. */
export const PIXEL_BYTES = 16

/**
 * A two-dimensional grid of four f32 on the device, which kernels read as a
 * `texture_storage_2d<rgba32float, read>`; filled by `Gpu.copyToImage`.
 *
 * A software driver reads a pixel of an image in less than half the time of a buffer's `vec4f`, see
 * docs/kernels.md.
 */
export class GpuImage {
  constructor(
    readonly width: number,
    readonly height: number,
    readonly storage: Storage<GPUTexture>,
  ) {}

  get shape(): readonly [number, number, number] {
    return [this.height, this.width, 4]
  }

  /** @throws GpuError when the image was given back */
  checkLive(): void {
    if (this.storage.uses === 0)
      throw new GpuError(`image ${this.storage.label} [${this.shape}] was released before`)
  }

  /** Gives the image back; its texture returns to the pool. */
  release(): void {
    this.storage.release()
  }
}
