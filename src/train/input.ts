import { gatherLabels } from '../data/batches.ts'
import type { Dataset, ImageSplit } from '../data/dataset.ts'
import { ImagePreparer } from '../data/prepareImages.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'

/** Where training images come from. */
export interface TrainInput {
  /** [height, width, channels] of the network's input. */
  readonly shape: readonly [number, number, number]
  /** Training examples, without those held out. */
  readonly count: number
  /** Puts examples into `images` [N, H, W, C]. @returns their labels, u32 [N] */
  load(gpu: Gpu, examples: Uint32Array, images: GpuArray<'f32'>): Promise<Uint32Array>
}

/** A data set in memory, padded and normalised on the host. */
export class MemoryInput implements TrainInput {
  readonly shape: readonly [number, number, number]
  readonly count: number
  readonly #preparer: ImagePreparer
  #images = new Float32Array(0)

  constructor(
    dataset: Dataset,
    private readonly split: ImageSplit,
  ) {
    this.#preparer = new ImagePreparer(dataset)
    const { height, width, channels } = this.#preparer
    this.shape = [height, width, channels]
    this.count = split.count
  }

  async load(gpu: Gpu, examples: Uint32Array, images: GpuArray<'f32'>): Promise<Uint32Array> {
    if (this.#images.length !== images.length) this.#images = new Float32Array(images.length)
    gpu.write(images, this.#preparer.prepare(this.split.images, examples, this.#images))
    return gatherLabels(this.split.labels, examples)
  }
}

/**
 * Sets training images aside: `count` of them, drawn by the seed.
 *
 * @returns the indexes that stay and those set aside, both ascending
 */
export function holdOut(
  total: number,
  count: number,
  seed: number,
): { readonly kept: Uint32Array; readonly heldOut: Uint32Array } {
  const order = new RandomStream(seed, streams.split).permutation(total)
  return { kept: order.slice(count).sort(), heldOut: order.slice(0, count).sort() }
}

/** Some examples of a split, copied. */
export function selectExamples(split: ImageSplit, indexes: Uint32Array): ImageSplit {
  const size = split.images.length / split.count
  const images = new Uint8Array(indexes.length * size)
  for (const [i, index] of indexes.entries())
    images.set(split.images.subarray(index * size, (index + 1) * size), i * size)
  return { images, labels: gatherLabels(split.labels, indexes), count: indexes.length }
}
