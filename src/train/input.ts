import type { Mixing } from '../data/augment/mixup.ts'
import { evaluationBatches, gatherLabels } from '../data/batches.ts'
import type { Dataset, ImageSplit } from '../data/dataset.ts'
import { ImagePreparer } from '../data/prepareImages.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'

/** A micro-batch of training that is asked for. */
export interface BatchRequest {
  /** Examples of the input, u32 [N]. */
  readonly examples: Uint32Array
  readonly epoch: number
  /** Number of the micro-batch, counted over the whole run. */
  readonly draw: number
}

/** A batch that can go to the device. */
export interface ReadyBatch {
  /** u32 [N]. */
  readonly labels: Uint32Array
  /** How the examples are mixed, where they are. */
  readonly mixing?: Mixing
  /** Fills the network's input, f32 [N, H, W, 3]. */
  write(images: GpuArray<'f32'>): Promise<void>
}

/** Labelled images as the network takes them. */
export interface ImageInput {
  /** [height, width, channels] of the network's input. */
  readonly shape: readonly [number, number, number]
  readonly count: number
  /** Micro-batches of training, in the order of the requests. */
  trainingBatches(requests: Iterable<BatchRequest>): AsyncGenerator<ReadyBatch, void, undefined>
  /** All examples once, in order, without augmentation. */
  evaluationBatches(batchSize: number): AsyncGenerator<ReadyBatch, void, undefined>
  /** Gives back what it holds on the device. */
  release(): void
}

/** A data set in memory, padded and normalised on the host, without augmentation. */
export class MemoryInput implements ImageInput {
  readonly shape: readonly [number, number, number]
  readonly count: number
  readonly #preparer: ImagePreparer
  #images = new Float32Array(0)

  /** @param examples of the split, u32; default: all */
  constructor(
    private readonly gpu: Gpu,
    dataset: Dataset,
    private readonly split: ImageSplit,
    private readonly examples?: Uint32Array,
  ) {
    this.#preparer = new ImagePreparer(dataset)
    const { height, width, channels } = this.#preparer
    this.shape = [height, width, channels]
    this.count = examples?.length ?? split.count
  }

  async *trainingBatches(requests: Iterable<BatchRequest>): AsyncGenerator<ReadyBatch> {
    for (const { examples } of requests) yield this.#ready(examples)
  }

  async *evaluationBatches(batchSize: number): AsyncGenerator<ReadyBatch> {
    for (const examples of evaluationBatches(this.count, batchSize)) yield this.#ready(examples)
  }

  release(): void {}

  #ready(places: Uint32Array): ReadyBatch {
    const { split, examples } = this
    const indexes = examples ? places.map((place) => examples[place]!) : places
    return {
      labels: gatherLabels(split.labels, indexes),
      write: async (images) => {
        if (this.#images.length !== images.length) this.#images = new Float32Array(images.length)
        this.gpu.write(images, this.#preparer.prepare(split.images, indexes, this.#images))
      },
    }
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
