/**
 * Mean and standard deviation of each channel over all pixels, with pixels scaled to [0, 1]:
 *
 *   mean = S / (255 n)     std = sqrt(n Q - S^2) / (255 n)
 *
 * for n pixels of sum S and sum of squares Q. The sums are exact integers; only the last division
 * and the square root round. `std` is the population's (divided by n), as published figures are.
 */
export class ChannelHistogram {
  readonly #counts: Float64Array
  #pixels = 0

  /** @param channels number of channels, at least 1. */
  constructor(private readonly channels: number) {
    this.#counts = new Float64Array(256 * channels)
  }

  /** Whether no pixel was added. */
  get isEmpty(): boolean {
    return this.#pixels === 0
  }

  /**
   * Counts the pixels of one or more images.
   *
   * @param images u8 [..., channels], the channel running fastest.
   */
  add(images: Uint8Array): void {
    const { channels } = this
    const counts = this.#counts
    for (let i = 0; i < images.length; i += channels) {
      for (let c = 0; c < channels; c++) counts[256 * c + images[i + c]!]!++
    }
    this.#pixels += images.length / channels
  }

  /** The figures over all that was added; at least one pixel. */
  statistics(): { mean: number[]; std: number[] } {
    const n = this.#pixels
    const mean: number[] = []
    const std: number[] = []
    for (let c = 0; c < this.channels; c++) {
      let sum = 0
      let squares = 0
      for (let value = 0; value < 256; value++) {
        const count = this.#counts[256 * c + value]!
        sum += count * value
        squares += count * value * value
      }
      mean.push(sum / (255 * n))
      // n Q - S^2 passes 2^53 at a few thousand images and cancels: integers of any size.
      const spread = BigInt(n) * BigInt(squares) - BigInt(sum) ** 2n
      std.push(Math.sqrt(Number(spread)) / (255 * n))
    }
    return { mean, std }
  }
}

/**
 * The statistics of images in memory.
 *
 * @param images u8 [..., channels], the channel running fastest; at least one pixel.
 * @param channels number of channels, at least 1.
 * @throws RangeError when `images` is empty or no multiple of `channels`.
 */
export function channelStatistics(
  images: Uint8Array,
  channels: number,
): { mean: number[]; std: number[] } {
  if (images.length === 0 || images.length % channels !== 0) {
    throw new RangeError(
      `images has ${images.length} bytes, expected a positive multiple of ${channels} channels`,
    )
  }
  const histogram = new ChannelHistogram(channels)
  histogram.add(images)
  return histogram.statistics()
}
