import { GpuError, GpuOutOfMemoryError } from './errors.ts'
import type { Gpu } from './gpu.ts'
import { GpuArray } from './gpuArray.ts'

type Arrays = Readonly<Record<string, GpuArray | undefined>>

/** A run of units of the leading axis, with each array's part of it. */
export interface Piece<A extends Arrays> {
  readonly first: number
  readonly count: number
  /** By the arrays' names; where all fit the arrays themselves, else flat views that retain nothing. */
  readonly views: A
}

/**
 * Cuts arrays that share their leading axis into the fewest equal runs of units of which every part fits a
 * binding and starts where one may; one run with the arrays themselves where these fit.
 *
 * @param units along the leading axis: images, rows, elements
 * @param elements of a unit, where all arrays have as many and the last unit may have fewer. Default: length / units
 * @throws GpuOutOfMemoryError when the fewest units that can stand alone do not fit
 */
export function pieces<A extends Arrays>(
  gpu: Gpu,
  units: number,
  arrays: A,
  elements?: number,
): readonly Piece<A>[] {
  const { largestBinding } = gpu
  const entries = Object.entries(arrays).filter((entry): entry is [string, GpuArray] => !!entry[1])
  if (entries.every(([, { bindingSize }]) => bindingSize <= largestBinding))
    return [{ first: 0, count: units, views: arrays }]
  const sizes = new Map(entries.map(([name, { length }]) => [name, elements ?? length / units]))
  const alignment = gpu.device.limits.minStorageBufferOffsetAlignment / 4
  // A power of two, so that the largest step suits all arrays.
  const step = Math.max(...[...sizes.values()].map((size) => alignment / divisor(size, alignment)))
  for (const [name, { shape, storage }] of entries) {
    const size = sizes.get(name)!
    if (!Number.isInteger(size))
      throw new GpuError(`${name} [${shape}] does not divide into ${units} parts`)
    const least = Math.min(step, units)
    const bytes = 4 * least * size
    if (bytes > largestBinding)
      throw new GpuOutOfMemoryError(
        `${name} (${storage.label}) [${shape}] splits into no less than ${least} of its ${units} parts, which need ${bytes} bytes, but this device binds at most ${largestBinding} at once`,
      )
  }
  const most = Math.floor(largestBinding / 4 / Math.max(...sizes.values()) / step) * step
  const count = Math.ceil(units / Math.ceil(units / most) / step) * step
  return Array.from({ length: Math.ceil(units / count) }, (_, i) => {
    const first = i * count
    const views = entries.map(([name, array]) => {
      const size = sizes.get(name)!
      return [name, view(array, first * size, count * size)]
    })
    return {
      first,
      count: Math.min(count, units - first),
      views: Object.fromEntries(views) as A,
    }
  })
}

/** The largest power of two that divides both `size` and the power of two `alignment`. */
function divisor(size: number, alignment: number): number {
  let found = 1
  while (found < alignment && size % (2 * found) === 0) found *= 2
  return found
}

function view(array: GpuArray, start: number, count: number): GpuArray {
  const { dtype, length, storage, offset } = array
  return new GpuArray(dtype, [Math.min(count, length - start)], storage, offset + 4 * start)
}
