import type { Layer } from './features.ts'

/** What two examples are compared by: 1 - cosine, or the squared Euclidean distance. */
export type Distance = 'cosine' | 'euclidean'

/** What class separation says of one class. */
export interface ClassTerm {
  readonly n: number
  /** By cosine distance: examples whose features are all 0. */
  readonly zeroRows: number
  /** Mean distance between two examples of the class; by cosine 1 - |m_k|². */
  readonly withinDistance: number
  /** One minus that over the mean distance between any two; below 0 for a class more spread. */
  readonly r2: number | null
}

export interface SeparationResult extends Layer {
  /** Class separation R²; null where it is undefined. */
  readonly r2: number | null
  /** Why `r2` is null. */
  readonly undefined?: string
  /** Mean distance between two examples of classes drawn alike; by cosine 1 - |mbar|². */
  readonly totalDistance: number
  readonly n: number
  /** By cosine distance: examples whose features are all 0, at distance 1 from everything. */
  readonly zeroRows: number
  /** Classes that occur. */
  readonly classes: number
  /** By label; null for a class that does not occur. */
  readonly perClass: readonly (ClassTerm | null)[]
}

/** Below this mean distance, directions differ by no more than float32's rounding. */
const SMALLEST_DISTANCE = 1e-12
/** The same for squared distances, over the mean square of the deviations that are summed. */
const SMALLEST_SHARE = 1e-12

/**
 * R² and the distances from the sums of shaders/analysis/class_terms.wesl.
 *
 * With a_k the mean of class k's deviations from a reference, abar their mean, T_k the mean of the
 * deviations' squares and z_k the share of rows of zeros:
 *
 *   1 - |m_k|² = T_k - |a_k|² + z_k,   mean_k |m_k|² - |mbar|² = mean_k |a_k - abar|²
 *
 * since a unit row's square is 1 and a row of zeros' is 0. The mean squared Euclidean distance within
 * a class is twice T_k - |a_k|² of rows that keep their length, with z_k = 0.
 *
 * @param counts [classes + 1] examples of each class
 * @param zeroRows [classes + 1] rows of zeros of each class, and rows without a usable norm
 * @param terms [3, classes + 1]: |a_k - abar|² (and |abar|² last), |a_k|², T_k
 */
export function separationOf(
  layer: Layer,
  counts: Uint32Array,
  zeroRows: Uint32Array,
  terms: Float64Array,
  distance: Distance,
): SeparationResult {
  const classes = counts.length - 1
  let n = 0
  let zeros = 0
  let present = 0
  let between = 0
  let spread = 0
  const factor = distance === 'euclidean' ? 2 : 1
  const within: (Omit<ClassTerm, 'r2'> | null)[] = []
  for (let k = 0; k < classes; k++) {
    const count = counts[k]!
    if (count === 0) {
      within.push(null)
      continue
    }
    const zeroShare = zeroRows[k]! / count
    const square = terms[2 * (classes + 1) + k]! + zeroShare
    const withinDistance = factor * Math.max(0, square - terms[classes + 1 + k]!)
    within.push({ n: count, zeroRows: zeroRows[k]!, withinDistance })
    n += count
    zeros += zeroRows[k]!
    present++
    between += terms[k]!
    spread += square
  }
  const total = Math.max(0, spread / present - terms[classes]!)
  const isOnePoint =
    distance === 'cosine'
      ? total < SMALLEST_DISTANCE
      : total <= SMALLEST_SHARE * (spread / present) || total === 0
  const unusable = zeroRows[classes]!
  const why =
    present < 2
      ? 'all examples are of one class'
      : unusable > 0
        ? `${unusable} examples hold NaN, infinities or numbers too large${distance === 'cosine' ? ' or small' : ''} to square`
        : zeros === n
          ? 'all features of all examples are 0'
          : isOnePoint
            ? `the features of all examples ${distance === 'cosine' ? 'have one direction' : 'are the same'}`
            : undefined
  return {
    ...layer,
    r2: why === undefined ? between / present / total : null,
    ...(why === undefined ? {} : { undefined: why }),
    totalDistance: factor * total,
    n,
    zeroRows: zeros,
    classes: present,
    perClass: within.map(
      (term) =>
        term && {
          ...term,
          r2: why === undefined ? 1 - term.withinDistance / (factor * total) : null,
        },
    ),
  }
}
