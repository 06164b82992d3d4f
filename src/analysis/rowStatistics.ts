import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { type AnalysisVariant, type RowRange, rowItems } from './features.ts'

/** What each row of a batch is like, in every layer. */
export interface RowStatistics {
  /** [layers, rows]: one over a row's norm, 0 for a row of zeros, -1 where that can't be had. */
  readonly scales: GpuArray<'f32'>
  /** [layers, rows]: 1, or -1 where the row holds NaN, infinities or numbers too large to square. */
  readonly usable: GpuArray<'f32'>
  /** [layers, rows]: values that are not exactly 0. */
  readonly nonZero: GpuArray<'u32'>
}

/** Rows that are taken together; sums over a batch stay short and sorting its labels cheap. */
export const ROWS_TOGETHER = 1024

/** Features that one f32 chain covers, at most and at least, and slices of a row at most. */
const LONGEST_SLICE = 1024
const SHORTEST_SLICE = 64
const MOST_SLICES = 128

/** Cuts a batch into ranges of at most ROWS_TOGETHER rows. */
export function rowRanges(rows: number): RowRange[] {
  return Array.from({ length: Math.ceil(rows / ROWS_TOGETHER) }, (_, i) => ({
    first: i * ROWS_TOGETHER,
    count: Math.min(ROWS_TOGETHER, rows - i * ROWS_TOGETHER),
  }))
}

/** Norms and non-zero counts of some rows of all layers, in one read of each; the caller releases. */
export function rowStatistics(
  gpu: Gpu,
  features: readonly GpuArray<'f32'>[],
  { first: firstRow, count: rows }: RowRange,
  variant: AnalysisVariant,
): RowStatistics {
  const { lanes, targetWorkgroups } = gpu.profile
  const layers = features.length
  const widths = features.map((x) => x.length / x.shape[0]!)
  const widest = Math.max(...widths)
  const groups = Math.ceil(rows / lanes)
  const slices = Math.min(
    MOST_SLICES,
    Math.max(
      Math.ceil(widest / LONGEST_SLICE),
      Math.min(Math.ceil(targetWorkgroups / groups), Math.ceil(widest / SHORTEST_SLICE)),
    ),
  )
  const squares = gpu.empty('f32', [layers, slices, rows], 'row squares')
  const counts = gpu.empty('u32', [layers, slices, rows], 'row counts')
  for (const [layer, x] of features.entries()) {
    const { p4, items } = rowItems(widths[layer]!, variant)
    gpu.dispatch(kernels.analysis_row_statistics, {
      constants: { LANES: lanes },
      conditions: { P4: p4 },
      buffers: { x, squares, counts },
      params: { rows, firstRow, items, itemsPerSlice: Math.ceil(items / slices), layer },
      workgroups: [groups, slices, 1],
    })
  }
  const scales = gpu.empty('f32', [layers, rows], 'row scales')
  const usable = gpu.empty('f32', [layers, rows], 'usable rows')
  const nonZero = gpu.empty('u32', [layers, rows], 'row non-zeros')
  gpu.dispatch(kernels.analysis_row_scales, {
    constants: { LANES: lanes },
    buffers: { squares, counts, scales, usable, nonZero },
    params: { layers, rows, slices },
    workgroups: [Math.ceil((layers * rows) / lanes), 1, 1],
  })
  squares.release()
  counts.release()
  return { scales, usable, nonZero }
}

export function releaseRowStatistics({ scales, usable, nonZero }: RowStatistics): void {
  for (const array of [scales, usable, nonZero]) array.release()
}
