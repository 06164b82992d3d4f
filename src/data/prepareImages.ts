import type { Dataset } from './dataset.ts'

/** What the network reads. */
interface InputShape {
  /** Rows, at least the data set's; default the larger of that and 32. */
  height?: number
  /** Columns, likewise. */
  width?: number
  /** The data set's own number, or any where that is 1; default 3. */
  channels?: number
}

/**
 * Turns stored bytes into the network's input, a batch at a time:
 *
 *   out[b, y + top, x + left, c] = (images[indexes[b], y, x, c] / 255 - mean[c]) / std[c]
 *
 * A smaller image is centred; an odd row or column more goes to the bottom or right. Padding is
 * the raw value 0, black, before the normalisation (torchvision: Pad, ToTensor, Normalize), so a
 * padded pixel reads -mean / std like any black one. A grey image is repeated to all channels.
 *
 * The 256 possible results are computed once, in float64, and rounded to f32.
 */
export class ImagePreparer {
  /** Rows of the network's input. */
  readonly height: number
  /** Columns of the network's input. */
  readonly width: number
  /** Channels of the network's input. */
  readonly channels: number
  readonly #source: Pick<Dataset, 'channels' | 'height' | 'width'>
  /** [256 * C]: the result for a byte, a table a source channel. */
  readonly #table: Float32Array

  /**
   * @param dataset shape and statistics of the images.
   * @throws RangeError when the network's input is smaller than the images, the channels don't
   *   match, or a `std` is not positive (a constant channel can't be normalised).
   */
  constructor(
    dataset: Pick<Dataset, 'channels' | 'height' | 'width' | 'mean' | 'std'>,
    shape: InputShape = {},
  ) {
    this.height = shape.height ?? Math.max(32, dataset.height)
    this.width = shape.width ?? Math.max(32, dataset.width)
    this.channels = shape.channels ?? 3
    for (const side of ['height', 'width'] as const) {
      if (!Number.isInteger(this[side]) || this[side] < dataset[side]) {
        throw new RangeError(
          `${side} is ${this[side]}, expected an integer from ${dataset[side]}, that of the images`,
        )
      }
    }
    if (!Number.isInteger(this.channels) || this.channels < 1) {
      throw new RangeError(`channels is ${this.channels}, expected an integer from 1`)
    }
    if (dataset.channels !== 1 && dataset.channels !== this.channels) {
      throw new RangeError(
        `channels is ${this.channels}, expected ${dataset.channels}, that of the images`,
      )
    }
    const { channels, height, width } = dataset
    this.#source = { channels, height, width }
    this.#table = normalisationTable(dataset)
  }

  /** Number of floats that a batch of B images takes: B * height * width * channels. */
  length(batch: number): number {
    return batch * this.height * this.width * this.channels
  }

  /**
   * Gathers, pads, normalises.
   *
   * @param images u8 [N, H, W, C], the whole split.
   * @param indexes u32 [B], each below N.
   * @param out f32 [B, height, width, channels] or longer; a new array without it. Every one of
   *   the first `length(B)` values is written.
   * @returns `out`.
   * @throws RangeError when an index is past the images or `out` is too short.
   */
  prepare(
    images: Uint8Array,
    indexes: Uint32Array,
    out: Float32Array = new Float32Array(this.length(indexes.length)),
  ): Float32Array {
    const { channels: sourceChannels, height, width } = this.#source
    const imageBytes = height * width * sourceChannels
    const count = Math.floor(images.length / imageBytes)
    if (out.length < this.length(indexes.length)) {
      throw new RangeError(
        `out has ${out.length} values, expected ${this.length(indexes.length)} ` +
          `for ${indexes.length} images`,
      )
    }
    const top = Math.floor((this.height - height) / 2)
    const left = Math.floor((this.width - width) / 2)
    const rowLength = this.width * this.channels
    const padded = top > 0 || left > 0 || this.height > height || this.width > width
    for (let b = 0; b < indexes.length; b++) {
      const index = indexes[b]!
      if (index >= count) {
        throw new RangeError(`index ${index} at place ${b} of the batch, expected below ${count}`)
      }
      const start = this.length(b)
      if (padded) this.#fillBlack(out, start, start + this.length(1))
      let from = index * imageBytes
      for (let y = 0; y < height; y++) {
        this.#writeRow(images, from, out, start + (top + y) * rowLength + left * this.channels)
        from += width * sourceChannels
      }
    }
    return out
  }

  #fillBlack(out: Float32Array, start: number, end: number): void {
    if (this.#source.channels === 1) {
      out.fill(this.#table[0]!, start, end)
      return
    }
    for (let o = start; o < end; o += this.channels) {
      for (let c = 0; c < this.channels; c++) out[o + c] = this.#table[256 * c]!
    }
  }

  #writeRow(images: Uint8Array, from: number, out: Float32Array, to: number): void {
    const { channels: sourceChannels, width } = this.#source
    const table = this.#table
    let o = to
    if (sourceChannels === 1) {
      for (let x = 0; x < width; x++) {
        const value = table[images[from + x]!]!
        for (let c = 0; c < this.channels; c++) out[o++] = value
      }
      return
    }
    for (let i = from; i < from + width * sourceChannels; i += sourceChannels) {
      for (let c = 0; c < sourceChannels; c++) out[o++] = table[256 * c + images[i + c]!]!
    }
  }
}

function normalisationTable({
  channels,
  mean,
  std,
}: Pick<Dataset, 'channels' | 'mean' | 'std'>): Float32Array {
  const table = new Float32Array(256 * channels)
  for (let c = 0; c < channels; c++) {
    const m = mean[c]
    const s = std[c]
    if (m === undefined || s === undefined || !Number.isFinite(m) || !(s > 0)) {
      throw new RangeError(
        `channel ${c} has mean ${m} and std ${s}, expected a finite mean and a positive std`,
      )
    }
    for (let value = 0; value < 256; value++) table[256 * c + value] = (value / 255 - m) / s
  }
  return table
}
