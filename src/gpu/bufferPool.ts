import { GpuOutOfMemoryError } from './errors.ts'
import { Storage } from './storage.ts'

/** Bytes and buffers of a pool, or of all pools of a device. */
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

/**
 * Storage buffers by size; a released buffer is handed to the next request of its size.
 *
 * Commands run in the order in which they were recorded, so a buffer may be reused by a later
 * command while an earlier one still waits to run.
 */
export class BufferPool {
  readonly #free = new Map<number, Storage[]>()
  readonly #all = new Set<GPUBuffer>()
  #acquired: Storage[] | undefined

  constructor(
    private readonly device: GPUDevice,
    readonly use: MemoryUse,
  ) {}

  /**
   * A buffer of at least `bytes` bytes, its contents undefined.
   *
   * @throws GpuOutOfMemoryError when `bytes` exceeds the device's largest buffer or binding
   */
  acquire(bytes: number, label: string): Storage {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT)
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize)
    if (size > limit)
      throw new GpuOutOfMemoryError(
        `${label} needs ${size} bytes, but this device binds at most ${limit} at once`,
      )
    const kept = this.#free.get(size)?.pop()
    this.use.live += size
    if (kept) this.use.pooled -= size
    const buffer = kept?.buffer ?? this.#create(size, label)
    const storage = new Storage(buffer, size, label, this.#recycle)
    this.#acquired?.push(storage)
    return storage
  }

  #create(size: number, label: string): GPUBuffer {
    const buffer = this.device.createBuffer({
      label,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    })
    this.#all.add(buffer)
    this.use.buffers++
    this.use.created++
    this.use.peak = Math.max(this.use.peak, this.use.live + this.use.pooled)
    return buffer
  }

  /** Runs `body`; where it throws, gives back what it acquired. */
  releaseOnError<T>(body: () => T): T {
    const outer = this.#acquired
    const acquired: Storage[] = []
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

  // Takes back a storage that nothing uses any more.
  readonly #recycle = (storage: Storage): void => {
    if (!this.#all.has(storage.buffer)) return
    this.use.live -= storage.size
    this.use.pooled += storage.size
    const list = this.#free.get(storage.size)
    if (list) list.push(storage)
    else this.#free.set(storage.size, [storage])
  }

  /** Destroys the buffers that are kept for reuse. */
  trim(): void {
    for (const [size, list] of this.#free)
      for (const storage of list) {
        this.use.pooled -= size
        this.use.buffers--
        this.#all.delete(storage.buffer)
        storage.buffer.destroy()
      }
    this.#free.clear()
  }

  /** Destroys every buffer of the pool, in use or not. */
  destroy(): void {
    this.trim()
    for (const buffer of this.#all) {
      this.use.live -= buffer.size
      this.use.buffers--
      buffer.destroy()
    }
    this.#all.clear()
  }
}
