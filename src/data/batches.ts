import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'

interface TrainingOrderOptions {
  /** Number of training examples. */
  count: number
  /** Examples in a batch, 2 to `count`. */
  batchSize: number
  /** Seed of the shuffling, an integer in [0, 2^53 - 1]. */
  seed: number
  /** false: the order of the data set in every epoch. Default true. */
  shuffle?: boolean
}

/**
 * Which examples each training step sees: a pure function of (seed, epoch) and the step's number,
 * so training resumes in the middle of an epoch by asking for the next step.
 *
 * An epoch is `floor(count / batchSize)` full batches of one permutation; the examples left over
 * are dropped for that epoch (all batches have one size, and no batch norm sees a single image).
 * Another permutation leaves out others.
 */
export class TrainingOrder {
  readonly count: number
  readonly batchSize: number
  /** Steps in an epoch. */
  readonly batchesPerEpoch: number
  readonly #seed: number
  readonly #shuffle: boolean
  #epoch = -1
  #order: Uint32Array = new Uint32Array(0)

  /**
   * @throws RangeError when a size is no positive integer, `batchSize` is 1 (batch norm over one
   *   image is undefined where a map has one pixel), or above `count`.
   */
  constructor({ count, batchSize, seed, shuffle = true }: TrainingOrderOptions) {
    requireSize('count', count)
    requireSize('batchSize', batchSize)
    if (batchSize < 2) {
      throw new RangeError(
        'batchSize is 1, expected at least 2: batch normalisation has no variance over one image',
      )
    }
    if (batchSize > count) {
      throw new RangeError(
        `batchSize is ${batchSize}, expected at most the ${count} training examples of the data set`,
      )
    }
    this.count = count
    this.batchSize = batchSize
    this.batchesPerEpoch = Math.floor(count / batchSize)
    this.#seed = seed
    this.#shuffle = shuffle
    this.epochOrder(0)
  }

  /**
   * The permutation of an epoch: u32 [count].
   *
   * @param epoch from 0.
   */
  epochOrder(epoch: number): Uint32Array {
    if (epoch !== this.#epoch) {
      this.#order = this.#shuffle
        ? new RandomStream(this.#seed, streams.shuffle, epoch).permutation(this.count)
        : consecutive(0, this.count)
      this.#epoch = epoch
    }
    return this.#order
  }

  /**
   * The examples of one step: u32 [batchSize], indexes into the training split.
   *
   * @param step from 0, counted over all epochs.
   * @throws RangeError when `step` is no integer from 0.
   */
  batch(step: number): Uint32Array {
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new RangeError(`step is ${step}, expected an integer from 0`)
    }
    const start = (step % this.batchesPerEpoch) * this.batchSize
    const order = this.epochOrder(Math.floor(step / this.batchesPerEpoch))
    return order.subarray(start, start + this.batchSize)
  }
}

/**
 * Batches for evaluation: every example once, in the data set's order; the last batch holds what
 * is left and may be a single one (running statistics need no batch).
 *
 * @param count number of examples, at least 1.
 * @param batchSize at least 1; may be above `count`.
 * @returns u32 [up to batchSize] each: indexes into the split.
 * @throws RangeError when one is no positive integer.
 */
export function evaluationBatches(count: number, batchSize: number): Uint32Array[] {
  requireSize('count', count)
  requireSize('batchSize', batchSize)
  return Array.from({ length: Math.ceil(count / batchSize) }, (_, i) =>
    consecutive(i * batchSize, Math.min((i + 1) * batchSize, count)),
  )
}

/**
 * The labels of a batch.
 *
 * @param labels u32 [N].
 * @param indexes u32 [B], each below N.
 * @param out u32, B or longer; a new array without it.
 * @returns `out`, with the labels in its first B places.
 * @throws RangeError when an index is past the labels or `out` is too short.
 */
export function gatherLabels(
  labels: Uint32Array,
  indexes: Uint32Array,
  out: Uint32Array = new Uint32Array(indexes.length),
): Uint32Array {
  if (out.length < indexes.length) {
    throw new RangeError(`out has ${out.length} places, expected ${indexes.length}`)
  }
  for (let i = 0; i < indexes.length; i++) {
    const label = labels[indexes[i]!]
    if (label === undefined) {
      throw new RangeError(
        `index ${indexes[i]} at place ${i} of the batch, expected below the ${labels.length} labels`,
      )
    }
    out[i] = label
  }
  return out
}

function consecutive(start: number, end: number): Uint32Array {
  return Uint32Array.from({ length: end - start }, (_, i) => start + i)
}

function requireSize(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name} is ${value}, expected an integer from 1`)
  }
}
