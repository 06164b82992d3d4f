import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

/** Evenly spaced points and the density there. */
export interface Density {
  readonly at: readonly number[]
  readonly density: readonly number[]
}

/** Where a density is estimated: `points` of them from `low` to `high`. */
export interface DensityGrid {
  readonly low: number
  readonly high: number
  readonly points: number
  /** Standard deviation of the Gaussian kernel. */
  readonly bandwidth: number
}

/** What a density is of: values, or counts of bins from `low` on. */
export type DensityOf =
  | { readonly values: GpuArray<'f32'> }
  | {
      readonly counts: GpuArray<'u32'>
      readonly first: number
      readonly bins: number
      readonly low: number
      readonly width: number
      /** Sum of the counts. */
      readonly total: number
    }

/**
 * Gaussian kernel density estimate on the device (Kornblith et al. 2021, Figures E.1 and E.3).
 *
 * @throws Error when the grid has fewer than two points, no extent, or no bandwidth
 */
export async function density(gpu: Gpu, of: DensityOf, grid: DensityGrid): Promise<Density> {
  const { low, high, points, bandwidth } = grid
  if (!Number.isInteger(points) || points < 2 || !(high > low) || !(bandwidth > 0))
    throw new Error(
      `density: ${points} points from ${low} to ${high} of bandwidth ${bandwidth}, expected at least 2, rising, above 0`,
    )
  const { lanes } = gpu.profile
  const step = (high - low) / (points - 1)
  const isBinned = 'counts' in of
  const unused = isBinned ? gpu.zeros('f32', [1]) : gpu.zeros('u32', [1])
  const y = gpu.empty('f32', [points], 'density')
  const total = isBinned ? of.total : of.values.length
  gpu.dispatch(kernels.analysis_density, {
    constants: { LANES: lanes },
    conditions: { BINNED: isBinned },
    buffers: {
      values: isBinned ? (unused as GpuArray<'f32'>) : of.values,
      counts: isBinned ? of.counts : (unused as GpuArray<'u32'>),
      y,
    },
    params: {
      items: isBinned ? of.bins : of.values.length,
      first: isBinned ? of.first : 0,
      points,
      low,
      step,
      bandwidth,
      factor: 1 / (total * bandwidth * Math.sqrt(2 * Math.PI)),
      binLow: isBinned ? of.low : 0,
      binWidth: isBinned ? of.width : 0,
    },
    workgroups: [Math.ceil(points / lanes), 1, 1],
  })
  const values = await gpu.read(y)
  y.release()
  unused.release()
  return { at: Array.from({ length: points }, (_, i) => low + i * step), density: [...values] }
}
