import type { Size } from '../../data/augment/box.ts'
import type { Resampling } from '../../data/augment/resampling.ts'
import type { LoadedImage } from '../../data/imageSource.ts'

/** Levels 0 to 255 in float64, [height, width, 3]. */
export interface Levels extends Size {
  readonly data: ArrayLike<number>
}

/** Keys' cubic with the parameter a, or the triangle. */
function kernel(distance: number, a: number | undefined): number {
  const d = Math.abs(distance)
  if (a === undefined) return Math.max(0, 1 - d)
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0
}

/** Source pixels of output pixel j along one axis, with their weights. */
function tapsOf(j: number, from: number, to: number, resampling: Resampling): [number, number][] {
  const { filter, antialias = true, points = 'half' } = resampling
  const cubic = filter === 'bicubic'
  const scale = from / to
  const taps: [number, number][] = []
  if (antialias) {
    // PIL's Image.resize (Pillow 9.4, Resample.c).
    const stretch = Math.max(scale, 1)
    const centre = (j + 0.5) * scale
    for (let t = 0; t < from; t++)
      taps.push([t, kernel((t + 0.5 - centre) / stretch, cubic ? -0.5 : undefined)])
    const sum = taps.reduce((all, [, weight]) => all + weight, 0)
    return taps.map(([t, weight]) => [t, weight / sum])
  }
  // PyTorch's interpolate, align_corners=False, or TensorFlow 1's resize.
  const point = points === 'corner' ? j * scale : (j + 0.5) * scale - 0.5
  const first = Math.floor(point)
  for (let t = first - 1; t <= first + 2; t++)
    taps.push([Math.min(from - 1, Math.max(0, t)), kernel(point - t, cubic ? -0.75 : undefined)])
  return taps
}

const byte = (level: number) => Math.min(255, Math.max(0, Math.floor(level + 0.5)))

/** Resizes an image of three channels; bytes after each pass with antialiasing, else at the end. */
export function resizeReference(image: LoadedImage, size: Size, resampling: Resampling): Levels {
  const { data, height, width } = image
  const { antialias = true } = resampling
  const middle = new Float64Array(height * size.width * 3)
  for (let x = 0; x < size.width; x++) {
    const taps = tapsOf(x, width, size.width, resampling)
    for (let y = 0; y < height; y++)
      for (let c = 0; c < 3; c++) {
        let sum = 0
        for (const [t, weight] of taps) sum += weight * data[(y * width + t) * 3 + c]!
        middle[(y * size.width + x) * 3 + c] = antialias ? byte(sum) : sum
      }
  }
  const row = size.width * 3
  const result = new Float64Array(size.height * row)
  for (let y = 0; y < size.height; y++) {
    const taps = tapsOf(y, height, size.height, resampling)
    for (let i = 0; i < row; i++) {
      let sum = 0
      for (const [t, weight] of taps) sum += weight * middle[t * row + i]!
      result[y * row + i] = byte(sum)
    }
  }
  return { data: result, ...size }
}

/** PIL's Image.convert('L') (Pillow 9.4). */
const greyOf = (r: number, g: number, b: number) =>
  Math.floor((r * 19595 + g * 38470 + b * 7471 + 32768) / 65536)

/** PIL's Image.blend; factors that are multiples of 1/4 leave no rounding to differ in. */
const blend = (base: number, to: number, factor: number) =>
  Math.min(255, Math.max(0, Math.floor(base + factor * (to - base))))

/** Levels changed one by one. */
export function mapLevels(
  { data, height, width }: Levels,
  change: (level: number, y: number, x: number, c: number) => number,
): Levels {
  const changed = Float64Array.from(data, (level, i) => {
    const pixel = Math.floor(i / 3)
    return change(level, Math.floor(pixel / width), pixel % width, i % 3)
  })
  return { data: changed, height, width }
}

/** PIL's ImageOps.equalize. */
export function equalizeReference(image: Levels): Levels {
  const tables = [0, 1, 2].map((c) => {
    const histogram = new Array<number>(256).fill(0)
    for (let i = c; i < image.data.length; i += 3) histogram[image.data[i]!]!++
    const last = histogram.findLast((count) => count > 0)!
    const step = Math.floor((image.height * image.width - last) / 255)
    let below = Math.floor(step / 2)
    return histogram.map((count, level) => {
      const mapped = step > 0 ? Math.min(255, Math.floor(below / step)) : level
      below += count
      return mapped
    })
  })
  return mapLevels(image, (level, _y, _x, c) => tables[c]![level]!)
}

/** PIL's ImageEnhance.Contrast. */
export function contrastReference(image: Levels, factor: number): Levels {
  const { data, height, width } = image
  let sum = 0
  for (let i = 0; i < data.length; i += 3) sum += greyOf(data[i]!, data[i + 1]!, data[i + 2]!)
  const mean = Math.floor(sum / (height * width) + 0.5)
  return mapLevels(image, (level) => blend(mean, level, factor))
}

/** PIL's ImageEnhance.Sharpness. */
export function sharpnessReference(image: Levels, factor: number): Levels {
  const { data, height, width } = image
  return mapLevels(image, (level, y, x, c) => {
    if (y === 0 || x === 0 || y === height - 1 || x === width - 1) return level
    let sum = 4 * level
    for (let s = y - 1; s <= y + 1; s++)
      for (let t = x - 1; t <= x + 1; t++) sum += data[(s * width + t) * 3 + c]!
    return blend(Math.floor(sum / 13 + 0.5), level, factor)
  })
}

/** PIL's Image.transform by x + slope y; black outside. */
export function shearReference(image: Levels, slope: number): Levels {
  const { data, width } = image
  return mapLevels(image, (_level, y, x, c) => {
    const from = Math.floor(x + 0.5 + slope * (y + 0.5))
    return from < 0 || from >= width ? 0 : data[(y * width + from) * 3 + c]!
  })
}
