import type { RandomStream } from '../../random/randomStream.ts'
import type { Box, Size } from './box.ts'

/** What a random resized crop draws from. */
export interface CropRange {
  /** Least and largest share of the image's area, 0 < low <= high <= 1. Default [0.1, 1]. */
  readonly area?: readonly [number, number]
  /** Least and largest width over height, positive. Default [0.75, 4 / 3]. */
  readonly aspect?: readonly [number, number]
}

/** Shares of area that the paper draws from (A.1: "10-100%"). torchvision's default is 8-100 %. */
const AREA = [0.1, 1] as const
const ASPECT = [3 / 4, 4 / 3] as const
const TRIES = 10

/** Words of the stream that one crop may use. */
export const CROP_WORDS = 2 + 2 * TRIES

/** @throws RangeError when a range is empty, not positive, or of an area above 1. */
export function checkCropRange({ area = AREA, aspect = ASPECT }: CropRange): void {
  for (const [name, [low, high], most] of [
    ['area', area, 1],
    ['aspect', aspect, Number.POSITIVE_INFINITY],
  ] as const) {
    if (!(low > 0 && low <= high && high <= most)) {
      throw new RangeError(
        `${name} is ${low} to ${high}, expected 0 < low <= high${most === 1 ? ' <= 1' : ''}`,
      )
    }
  }
}

/** A box as drawn, before it is known to fit. */
export interface Proposal extends Size {
  /** Drawn uniformly; a share of the image's area. */
  readonly area: number
  /** Drawn uniformly. */
  readonly logAspect: number
}

/** One of the ten tries, which may be larger than the image. */
export function proposeCrop(
  random: RandomStream,
  index: number,
  size: Size,
  { area = AREA, aspect = ASPECT }: CropRange = {},
): Proposal {
  const share = between(random.uniform(index), area[0], area[1])
  const logAspect = between(random.uniform(index + 1), Math.log(aspect[0]), Math.log(aspect[1]))
  const pixels = share * size.height * size.width
  const ratio = Math.exp(logAspect)
  return {
    area: share,
    logAspect,
    height: roundHalfEven(Math.sqrt(pixels / ratio)),
    width: roundHalfEven(Math.sqrt(pixels * ratio)),
  }
}

/**
 * The box of a random resized crop, by the algorithm of torchvision's RandomResizedCrop (0.14): up to
 * ten tries of an area, uniform, and an aspect ratio, uniform in its logarithm; the first that fits
 * the image is placed uniformly. If none fits, the largest box of the nearest allowed aspect ratio,
 * centred.
 *
 * @param random a stream of one (seed, epoch).
 * @param index first of the CROP_WORDS words that this image may use: two for the place, then two a
 *   try.
 */
export function randomResizedCrop(
  random: RandomStream,
  index: number,
  size: Size,
  range: CropRange = {},
): Box {
  for (let t = 0; t < TRIES; t++) {
    const { height, width } = proposeCrop(random, index + 2 + 2 * t, size, range)
    if (width > 0 && width <= size.width && height > 0 && height <= size.height) {
      const top = random.integer(index, size.height - height + 1)
      const left = random.integer(index + 1, size.width - width + 1)
      return { top, left, height, width }
    }
  }
  return centralBox(size, range)
}

function centralBox(size: Size, { aspect = ASPECT }: CropRange): Box {
  const ratio = size.width / size.height
  let { height, width } = size
  if (ratio < aspect[0]) height = roundHalfEven(width / aspect[0])
  else if (ratio > aspect[1]) width = roundHalfEven(height * aspect[1])
  const top = Math.floor((size.height - height) / 2)
  const left = Math.floor((size.width - width) / 2)
  return { top, left, height, width }
}

function between(u: number, low: number, high: number): number {
  return low + u * (high - low)
}

/** Python's round: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}
