import { GpuError, GpuOutOfMemoryError } from './errors.ts'
import { IMAGE_FORMAT, PIXEL_BYTES } from './gpuImage.ts'
import { Storage } from './storage.ts'

/** Bytes and buffers of a pool, or of all pools of a device; images count as buffers. */
export interface MemoryUse {
  /** Bytes of buffers in use. */
  live: number
  /** Bytes of buffers kept for reuse. */
  pooled: number
  /** Highest value of live + pooled so far. */
  peak: number
  /** Buffers alive, in use or kept. */
  buffers: number
  /** Buffers created since the device was opened. */
  created: number
}

const ALIGNMENT = 256

type Resource = GPUBuffer | GPUTexture
type Acquired = Pick<Storage, 'uses' | 'release'>

/**
 * Storage buffers by size, and textures by width; what is released is handed to the next request of
 * its size, of textures also to one of fewer rows.
 *
 * Commands run in the order in which they were recorded, so a buffer may be reused by a later
 * command while an earlier one still waits to run.
 */
export class BufferPool {
  readonly #freeBuffers = new Map<number, Storage[]>()
  readonly #freeTextures = new Map<number, Storage<GPUTexture>[]>()
  /** With their sizes in bytes. */
  readonly #all = new Map<Resource, number>()
  #acquired: Acquired[] | undefined

  constructor(
    private readonly device: GPUDevice,
    readonly use: MemoryUse,
  ) {}

  /**
   * A buffer of at least `bytes` bytes, its contents undefined.
   *
   * @throws GpuOutOfMemoryError when `bytes` exceeds the device's largest buffer
   */
  acquire(bytes: number, label: string): Storage {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT)
    const { maxBufferSize } = this.device.limits
    if (size > maxBufferSize)
      throw new GpuOutOfMemoryError(
        `${label} needs ${size} bytes, but a buffer of this device holds at most ${maxBufferSize}`,
      )
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
    return this.#take(this.#freeBuffers, size, size, label, () =>
      this.device.createBuffer({ label, size, usage }),
    )
  }

  /**
   * A texture of `width` and at least `height` pixels of four f32, its contents undefined.
   *
   * @throws GpuError when a side exceeds the device's largest
   */
  acquireImage(width: number, height: number, label: string): Storage<GPUTexture> {
    const limit = this.device.limits.maxTextureDimension2D
    if (Math.max(width, height) > limit)
      throw new GpuError(`${label} has ${width} x ${height} pixels, sides of at most ${limit} fit`)
    const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST
    const size = PIXEL_BYTES * width * height
    return this.#take(this.#freeTextures, width, size, label, () =>
      this.device.createTexture({ label, size: [width, height], format: IMAGE_FORMAT, usage }),
    )
  }

  #take<R extends Resource>(
    free: Map<number, Storage<R>[]>,
    key: number,
    wanted: number,
    label: string,
    create: () => R,
  ): Storage<R> {
    const kept = takeSmallest(free.get(key), wanted)
    const size = kept?.size ?? wanted
    this.use.live += size
    if (kept) this.use.pooled -= size
    const resource = kept?.resource ?? this.#count(create(), size)
    // Takes back a storage that nothing uses any more.
    const recycle = (storage: Storage<R>) => {
      if (!this.#all.has(resource)) return
      this.use.live -= size
      this.use.pooled += size
      const list = free.get(key)
      if (list) list.push(storage)
      else free.set(key, [storage])
    }
    const storage = new Storage(resource, size, label, recycle)
    this.#acquired?.push(storage)
    return storage
  }

  #count<R extends Resource>(resource: R, size: number): R {
    this.#all.set(resource, size)
    this.use.buffers++
    this.use.created++
    this.use.peak = Math.max(this.use.peak, this.use.live + this.use.pooled)
    return resource
  }

  /** Runs `body`; where it throws, gives back what it acquired. */
  releaseOnError<T>(body: () => T): T {
    const outer = this.#acquired
    const acquired: Acquired[] = []
    this.#acquired = acquired
    try {
      return body()
    } catch (error) {
      for (const storage of acquired) while (storage.uses > 0) storage.release()
      throw error
    } finally {
      this.#acquired = outer
      outer?.push(...acquired)
    }
  }

  /** Destroys the buffers that are kept for reuse. */
  trim(): void {
    for (const free of [this.#freeBuffers, this.#freeTextures]) {
      for (const { resource, size } of [...free.values()].flat()) {
        this.use.pooled -= size
        this.use.buffers--
        this.#all.delete(resource)
        resource.destroy()
      }
      free.clear()
    }
  }

  /** Destroys every buffer of the pool, in use or not. */
  destroy(): void {
    this.trim()
    for (const [resource, size] of this.#all) {
      this.use.live -= size
      this.use.buffers--
      resource.destroy()
    }
    this.#all.clear()
  }
}

/** Takes the smallest of at least `size` bytes out of a list, of equal ones the last. */
function takeSmallest<S extends { readonly size: number }>(
  kept: S[] | undefined,
  size: number,
): S | undefined {
  let best = -1
  for (const [i, one] of kept?.entries() ?? [])
    if (one.size >= size && (best < 0 || one.size <= kept![best]!.size)) best = i
  return best < 0 ? undefined : kept!.splice(best, 1)[0]
}
