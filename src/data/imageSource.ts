import type { Dataset, ImageSplit } from './dataset.ts'

/** One image as the network's input is made from it. */
export interface LoadedImage {
  /**
   * [height, width, channels], row by row. u8 pixels are still to be scaled and normalised; f32
   * ones are taken as they are.
   */
  readonly data: Uint8Array | Float32Array
  readonly height: number
  readonly width: number
  /** 1 (grey) or 3; of 4 the last (alpha) is not read. */
  readonly channels: number
}

/** Labelled images, wherever they lie: in memory, or in files that are decoded when asked for. */
export interface ImageSource {
  /** Number of examples N, bad files included: what can't be decoded never shifts a label. */
  readonly count: number
  /** u32 [N]. */
  readonly labels: Uint32Array
  /**
   * One image; what comes back must not be changed.
   *
   * @param index below `count`.
   * @throws BadImageError when the file can't be read or decoded, or is refused.
   */
  load(index: number): Promise<LoadedImage>
}

/** An image classification data set of any size. */
export interface ImageDataset {
  /** As it was asked for: `folder:PATH`. */
  readonly name: string
  /** Folder or file that the images came from. */
  readonly source: string
  /** Number of classes K. */
  readonly classes: number
  /** K names; the numbers as text where the format has none. */
  readonly classNames: readonly string[]
  /** Size of every image, or undefined where sizes differ. */
  readonly size: { readonly height: number; readonly width: number } | undefined
  /** Channels of the images, 1 or 3; files of folders are decoded to 3. */
  readonly channels: number
  /**
   * Mean and standard deviation of each channel over the training images, u8 pixels scaled to
   * [0, 1]; undefined where images are f32 and taken as they are.
   */
  readonly statistics: { readonly mean: number[]; readonly std: number[] } | undefined
  readonly train: ImageSource
  /** undefined where the data set has one split only. */
  readonly test: ImageSource | undefined
  /** Images to choose by that are neither of the two, where there are and they were asked for. */
  readonly validation?: ImageSource
}

/** A data set in memory, or one whose images are loaded when they are asked for. */
export type AnyDataset = Dataset | ImageDataset

export function isInMemory(dataset: AnyDataset): dataset is Dataset {
  return 'images' in dataset.train
}

/** A file that gives no image, or one that is refused: what it is called and why. */
export class BadImageError extends Error {
  override name = 'BadImageError'
  constructor(
    readonly path: string,
    /** A clause that follows the path. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`${path} ${reason}`, options)
  }
}

/**
 * A data set whose class 0 is a background class that no image is of, as the authors' code has it for ImageNet: K + 1
 * classes, labels counted from 1.
 */
export function withBackground(dataset: ImageDataset): ImageDataset {
  const shifted = (source: ImageSource): ImageSource => ({
    count: source.count,
    labels: source.labels.map((label) => label + 1),
    load: (index) => source.load(index),
  })
  const { classes, classNames, train, test } = dataset
  return {
    ...dataset,
    classes: classes + 1,
    classNames: ['background', ...classNames],
    train: shifted(train),
    test: test && shifted(test),
  }
}

type Shape = Pick<Dataset, 'height' | 'width' | 'channels'>

/**
 * Images in memory as a source; nothing is copied.
 *
 * @param split `images` may be f32 as well.
 */
export function memorySource(
  split: { images: Uint8Array | Float32Array } & Omit<ImageSplit, 'images'>,
  { height, width, channels }: Shape,
): ImageSource {
  const length = height * width * channels
  return {
    count: split.count,
    labels: split.labels,
    load: async (index) => ({
      data: split.images.subarray(index * length, (index + 1) * length),
      height,
      width,
      channels,
    }),
  }
}

/** A data set in memory as one of any size. */
function toImageDataset(dataset: Dataset): ImageDataset {
  const { name, source, classes, classNames, height, width, channels, mean, std } = dataset
  return {
    name,
    source,
    classes,
    classNames,
    size: { height, width },
    channels,
    statistics: { mean, std },
    train: memorySource(dataset.train, dataset),
    test: memorySource(dataset.test, dataset),
  }
}

/**
 * Some examples of a source, as a source: a hold-out split, the first images of each class.
 *
 * @param indexes u32 [M], each below the source's count.
 * @throws RangeError naming an index that is not.
 */
export function subset(source: ImageSource, indexes: Uint32Array): ImageSource {
  const outside = indexes.findIndex((index) => index >= source.count)
  if (outside >= 0) {
    throw new RangeError(
      `index ${indexes[outside]} at place ${outside}, expected below the ${source.count} examples`,
    )
  }
  return {
    count: indexes.length,
    labels: indexes.map((index) => source.labels[index]!),
    load: (index) => source.load(indexes[index]!),
  }
}

/** A data set of either kind as one whose images are loaded when they are asked for. */
export function asImageDataset(dataset: AnyDataset): ImageDataset {
  return isInMemory(dataset) ? toImageDataset(dataset) : dataset
}
