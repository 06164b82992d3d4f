import type { LabelledFeatures } from './labelledFeatures.ts'

export const metrics = ['euclidean', 'cosine'] as const
export type Metric = (typeof metrics)[number]

/** Examples where squared Euclidean distance orders as the metric does. */
export interface DistanceSpace {
  readonly n: number
  readonly width: number
  /** [n, width]. */
  readonly exact: Float64Array | Float32Array
  /** [n, width]: what the device sees, at most about 1 in size. */
  readonly rounded: Float32Array
  /** What rounding moved a distance by, at most, beside the float32 error of computing it. */
  readonly perturbation: number
  /** What exact distances are multiplied by to be as rounded ones. */
  readonly scale: number
}

/** A rounded unit vector is off by at most 2^-24 of each component: two of them by 2^-23. */
const UNIT_ROUNDING = 2 ** -23

/**
 * Puts training and test examples into one space.
 *
 * Euclidean: as they are, on the device times a power of two, which is exact. Cosine: at unit length;
 * half the squared distance of unit vectors is the cosine distance 1 - cos. A row of zeros is at
 * cosine distance 1 from every row, other zeros included, as in scikit-learn: where there are any, a
 * coordinate of their own that differs between the two sides puts them there.
 */
export function distanceSpaces(
  metric: Metric,
  references: LabelledFeatures,
  queries: LabelledFeatures,
): { references: DistanceSpace; queries: DistanceSpace } {
  if (metric === 'euclidean') {
    const largest = Math.max(...[references, queries].map(({ features }) => largestOf(features)))
    const scale = largest > 0 ? 2 ** -Math.ceil(Math.log2(largest)) : 1
    return { references: asTheyAre(references, scale), queries: asTheyAre(queries, scale) }
  }
  const hasZeros = [references, queries].some(hasZeroRow)
  return {
    references: atUnitLength(references, hasZeros ? [1, 0] : []),
    queries: atUnitLength(queries, hasZeros ? [0, 1] : []),
  }
}

/** The squared distance in float64, on the scale of `rounded`. */
export function exactDistance(
  queries: DistanceSpace,
  query: number,
  references: DistanceSpace,
  reference: number,
): number {
  const { width, scale } = queries
  const a = queries.exact
  const b = references.exact
  let sum = 0
  for (let i = query * width, j = reference * width, end = i + width; i < end; i++, j++)
    sum += (a[i]! - b[j]!) ** 2
  return sum * scale ** 2
}

function asTheyAre({ features, width }: LabelledFeatures, scale: number): DistanceSpace {
  return {
    n: features.length / width,
    width,
    exact: features,
    rounded: features.map((value) => value * scale),
    // Scaled values below float32's smallest normal number may become 0.
    perturbation: Math.sqrt(width) * 2 ** -125,
    scale,
  }
}

function atUnitLength(
  { features, width }: LabelledFeatures,
  ofZeros: readonly number[],
): DistanceSpace {
  const n = features.length / width
  const wide = width + ofZeros.length
  const exact = new Float64Array(n * wide)
  for (let i = 0; i < n; i++) {
    const row = Float64Array.from(features.subarray(i * width, (i + 1) * width))
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
    if (norm > 0)
      exact.set(
        row.map((value) => value / norm),
        i * wide,
      )
    else exact.set(ofZeros, i * wide + width)
  }
  const rounded = Float32Array.from(exact)
  return { n, width: wide, exact, rounded, perturbation: UNIT_ROUNDING, scale: 1 }
}

function largestOf(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}

function hasZeroRow({ features, width }: LabelledFeatures): boolean {
  for (let at = 0; at < features.length; at += width)
    if (features.subarray(at, at + width).every((value) => value === 0)) return true
  return false
}
