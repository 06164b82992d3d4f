import { availableParallelism } from 'node:os'
import { BadImageError, type ImageSource, type LoadedImage } from './imageSource.ts'

/** The images of one step, in the order of the batch. */
export interface LoadedBatch {
  /** u32 [B]: the examples, those that stand in for bad files included. */
  readonly indexes: Uint32Array
  /** u32 [B]. */
  readonly labels: Uint32Array
  /** B images. */
  readonly images: readonly LoadedImage[]
}

/**
 * What to do about a file that gives no image. `fail`: throw. `replace`: take the next example of
 * the data set that does, with its own label, so that a training batch keeps its size. `drop`:
 * leave it out of the batch, so that an evaluation counts no image twice.
 */
export type OnBadImage = 'fail' | 'replace' | 'drop'

export interface BatchLoaderOptions {
  /**
   * Images in the decoder's hands at a time, at least 1; default eight times the number of cores, so
   * that none waits while this thread packs a batch for the device.
   */
  readonly concurrency?: number
  /** Batches decoded ahead of the one that is used, at least 1; default 2. */
  readonly prefetch?: number
  /** Default `fail`. */
  readonly onBadImage?: OnBadImage
  /** Told of each bad file once. */
  readonly onProblem?: (problem: BadImageError) => void
}

/**
 * Brings batches of a source to the host, decoding ahead. What comes is a function of the batches
 * asked for and of the files alone: neither the concurrency nor the prefetch changes it.
 */
export class BatchLoader {
  readonly #source: ImageSource
  readonly #concurrency: number
  readonly #prefetch: number
  readonly #onBadImage: OnBadImage
  readonly #onProblem: (problem: BadImageError) => void
  readonly #bad = new Map<number, BadImageError>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** @throws RangeError when `concurrency` or `prefetch` is no positive integer. */
  constructor(source: ImageSource, options: BatchLoaderOptions = {}) {
    const { concurrency = 8 * availableParallelism(), prefetch = 2 } = options
    for (const [name, value] of Object.entries({ concurrency, prefetch })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new RangeError(`${name} is ${value}, expected an integer from 1`)
      }
    }
    this.#source = source
    this.#concurrency = concurrency
    this.#prefetch = prefetch
    this.#onBadImage = options.onBadImage ?? 'fail'
    this.#onProblem = options.onProblem ?? (() => {})
  }

  /** The bad files met so far, by example. */
  get problems(): ReadonlyMap<number, BadImageError> {
    return this.#bad
  }

  /**
   * Loads batches in order.
   *
   * @param batches u32 [B] each: indexes into the source; drawn one at a time, so the iterable may
   *   be endless.
   * @throws BadImageError with `fail`, when the batch of the bad file is reached; with `replace`,
   *   when no example of the source can be decoded.
   */
  async *load(batches: Iterable<Uint32Array>): AsyncGenerator<LoadedBatch, void, undefined> {
    const iterator = batches[Symbol.iterator]()
    const ahead: Promise<LoadedBatch>[] = []
    try {
      for (;;) {
        while (ahead.length <= this.#prefetch) {
          const next = iterator.next()
          if (next.done) break
          const batch = this.#loadBatch(next.value)
          // It is awaited when its turn comes; until then its error must not end the process.
          batch.catch(() => {})
          ahead.push(batch)
        }
        const batch = ahead.shift()
        if (batch === undefined) return
        yield await batch
      }
    } finally {
      iterator.return?.()
      await Promise.allSettled(ahead)
    }
  }

  async #loadBatch(wanted: Uint32Array): Promise<LoadedBatch> {
    const found = await Promise.all(Array.from(wanted, (index) => this.#loadExample(index)))
    const loaded = found.filter((example) => example !== undefined)
    const indexes = Uint32Array.from(loaded, ({ index }) => index)
    return {
      indexes,
      labels: indexes.map((index) => this.#source.labels[index]!),
      images: loaded.map(({ image }) => image),
    }
  }

  async #loadExample(wanted: number): Promise<{ index: number; image: LoadedImage } | undefined> {
    const { count } = this.#source
    for (let step = 0; step < count; step++) {
      const index = (wanted + step) % count
      try {
        return { index, image: await this.#decode(index) }
      } catch (error) {
        if (!(error instanceof BadImageError)) throw error
        if (!this.#bad.has(index)) {
          this.#bad.set(index, error)
          this.#onProblem(error)
        }
        if (this.#onBadImage === 'fail') throw error
        if (this.#onBadImage === 'drop') return undefined
      }
    }
    throw this.#bad.get(wanted)
  }

  /** Decodes when a place is free, first come, first served. */
  async #decode(index: number): Promise<LoadedImage> {
    const known = this.#bad.get(index)
    if (known) throw known
    if (this.#running < this.#concurrency) this.#running++
    else await new Promise<void>((start) => this.#waiting.push(start))
    try {
      return await this.#source.load(index)
    } finally {
      const next = this.#waiting.shift()
      // The place passes on: `running` stays.
      if (next) next()
      else this.#running--
    }
  }
}
