import { channelStatistics } from './channelStatistics.ts'

/** Labelled images that lie in memory as bytes. */
export interface ImageSplit {
  /** u8 [N, H, W, C]. */
  images: Uint8Array
  /** u32 [N], each below the data set's `classes`. */
  labels: Uint32Array
  /** N. */
  count: number
}

/** An image classification data set with its own division into training and test examples. */
export interface Dataset {
  /** As it was asked for: `fashion-mnist`, `idx:PATH`. */
  name: string
  /** Folder or file prefix that the images came from. */
  source: string
  /** Number of classes K. */
  classes: number
  /** K names; the numbers as text where the format has none. */
  classNames: string[]
  /** Channels C as stored. */
  channels: number
  height: number
  width: number
  /** Mean of each channel over the training images, pixels in [0, 1]. */
  mean: number[]
  /** Standard deviation of each channel, likewise; 0 for a constant channel. */
  std: number[]
  train: ImageSplit
  test: ImageSplit
}

/**
 * Refuses labels outside [0, classes).
 *
 * @param labels [N].
 * @param file what the error names.
 * @throws Error naming the file, the index, the label and the range.
 */
export function requireLabelRange(labels: ArrayLike<number>, classes: number, file: string): void {
  for (let i = 0; i < labels.length; i++) {
    if (labels[i]! >= classes) {
      throw new Error(
        `${file} has label ${labels[i]} at index ${i}, expected 0 to ${classes - 1} ` +
          `(${classes} classes)`,
      )
    }
  }
}

/** Adds the training images' statistics to what a reader found. */
export function withStatistics(parts: Omit<Dataset, 'mean' | 'std'>): Dataset {
  return { ...parts, ...channelStatistics(parts.train.images, parts.channels) }
}
