import { convolveBackwardData } from '../autograd/convolution.ts'
import { productShape } from '../autograd/convolutionShape.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { rowScales } from './angularHardness.ts'
import { type Density, density } from './density.ts'
import { bindingLimit, featureShape } from './features.ts'
import { type Labels, withLabels } from './labels.ts'
import { sliceOf } from './slice.ts'

/** Densities of the cosine distances of all pairs of examples, of a class and of two. */
export interface PairDistances {
  /** Distances, 0..2. */
  readonly at: readonly number[]
  /** Density there of pairs of one class; null where there are none. */
  readonly within: readonly number[] | null
  /** Of pairs of two classes. */
  readonly between: readonly number[] | null
  /** Mean distances, to half a bin: 5e-4. */
  readonly meanWithin: number | null
  readonly meanBetween: number | null
  readonly pairs: { readonly within: number; readonly between: number }
  readonly bandwidth: number
}

export interface PairDistanceOptions {
  /** Standard deviation of the Gaussian kernel (default 0.01; the paper does not say). */
  readonly bandwidth?: number
  readonly points?: number
}

const BINS = 2048
const BLOCK = 1024

/**
 * Densities of the cosine distance between examples of one class and of different classes (Kornblith
 * et al. 2021, Figure E.3), of all pairs but those of an example with itself: a histogram of 2,048
 * bins, then a kernel density estimate of that, on the device.
 *
 * @param x [n, ...]
 * @param labels [n]
 * @param classes one more than the highest label
 * @throws Error when labels do not fit or a row has no usable norm
 */
export async function pairDistances(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  labels: Labels,
  classes: number,
  options: PairDistanceOptions = {},
): Promise<PairDistances> {
  const { n, p } = featureShape('features', x)
  const { bandwidth = 0.01, points = 512 } = options
  const { lanes, targetWorkgroups } = gpu.profile
  const parts = Math.min(BLOCK, lanes * Math.min(64, targetWorkgroups))
  const counts = gpu.zeros('u32', [parts, 2, BINS], 'pair counts')
  const sums = gpu.empty('u32', [2, BINS], 'histogram')
  const block = Math.min(BLOCK, n, Math.floor(bindingLimit(gpu) / p))
  const scales = rowScales(gpu, x)
  const unusable = (await gpu.read(scales)).findIndex((scale) => scale < 0)
  if (unusable >= 0)
    throw new Error(
      `features: example ${unusable} holds NaN, infinities or numbers too large or small to square`,
    )
  withLabels(gpu, labels, n, classes, (onDevice) => {
    const blocks = Array.from({ length: Math.ceil(n / block) }, (_, i) => i * block)
    const rowsOf = (first: number) => {
      const rows = gpu.empty('f32', [Math.min(block, n - first), p], 'block of rows')
      gpu.copy(sliceOf(x, first * p, rows.length), rows)
      return rows
    }
    for (const [index, firstRow] of blocks.entries()) {
      const a = rowsOf(firstRow)
      for (const firstColumn of blocks.slice(index)) {
        const b = rowsOf(firstColumn)
        const [rows, columns] = [a.shape[0]!, b.shape[0]!]
        const products = gpu.empty('f32', [rows, columns], 'products')
        convolveBackwardData(gpu, productShape(rows, columns, p), { dy: a, w: b, dx: products })
        gpu.dispatch(kernels.analysis_pair_histogram, {
          constants: { LANES: lanes, BINS },
          buffers: { products, scales, labels: onDevice, counts },
          params: { rows, columns, firstRow, firstColumn, parts },
          workgroups: [Math.ceil(parts / lanes), 1, 1],
        })
        products.release()
        b.release()
      }
      a.release()
    }
  })
  gpu.dispatch(kernels.analysis_sum_counts, {
    constants: { LANES: lanes },
    buffers: { counts, y: sums },
    params: { length: 2 * BINS, parts },
    workgroups: [Math.ceil((2 * BINS) / lanes), 1, 1],
  })
  const histogram = await gpu.read(sums)
  const side = async (index: 0 | 1) => {
    const bins = histogram.subarray(index * BINS, (index + 1) * BINS)
    const total = bins.reduce((sum, count) => sum + count, 0)
    if (total === 0) return { total, mean: null, density: null }
    const width = 2 / BINS
    const mean = bins.reduce((sum, count, i) => sum + count * (i + 0.5) * width, 0) / total
    const of = { counts: sums, first: index * BINS, bins: BINS, low: 0, width, total }
    const grid = { low: 0, high: 2, points, bandwidth }
    return { total, mean, density: await density(gpu, of, grid) }
  }
  const within = await side(0)
  const between = await side(1)
  for (const array of [counts, sums, scales]) array.release()
  const known: Density | null = within.density ?? between.density
  return {
    at: known?.at ?? [],
    within: within.density?.density ?? null,
    between: between.density?.density ?? null,
    meanWithin: within.mean,
    meanBetween: between.mean,
    pairs: { within: within.total, between: between.total },
    bandwidth,
  }
}
