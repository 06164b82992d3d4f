import type { Layer } from './features.ts'

/** What class separation says of one class. */
export interface ClassTerm {
  readonly n: number
  /** Examples whose features are all 0. */
  readonly zeroRows: number
  /** Mean cosine distance between two examples of the class, 1 - |m_k|². */
  readonly withinDistance: number
}

export interface SeparationResult extends Layer {
  /** Class separation R² by cosine distance; null where it is undefined. */
  readonly r2: number | null
  /** Why `r2` is null. */
  readonly undefined?: string
  /** Mean cosine distance between two examples of classes drawn alike, 1 - |mbar|². */
  readonly totalDistance: number
  readonly n: number
  /** Examples whose features are all 0, at distance 1 from everything. */
  readonly zeroRows: number
  /** Classes that occur. */
  readonly classes: number
  /** By label; null for a class that does not occur. */
  readonly perClass: readonly (ClassTerm | null)[]
}

/** Below this mean distance, directions differ by no more than float32's rounding. */
const SMALLEST_DISTANCE = 1e-12

/**
 * R² and the distances from the sums of shaders/analysis/class_terms.wesl.
 *
 * With a_k the mean of class k's deviations from a reference, abar their mean, T_k the mean of the
 * deviations' squares and z_k the share of rows of zeros:
 *
 *   1 - |m_k|² = T_k - |a_k|² + z_k,   mean_k |m_k|² - |mbar|² = mean_k |a_k - abar|²
 *
 * since a unit row's square is 1 and a row of zeros' is 0.
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
): SeparationResult {
  const classes = counts.length - 1
  let n = 0
  let zeros = 0
  let present = 0
  let between = 0
  let spread = 0
  const perClass: (ClassTerm | null)[] = []
  for (let k = 0; k < classes; k++) {
    const count = counts[k]!
    if (count === 0) {
      perClass.push(null)
      continue
    }
    const zeroShare = zeroRows[k]! / count
    const square = terms[2 * (classes + 1) + k]! + zeroShare
    const withinDistance = Math.max(0, square - terms[classes + 1 + k]!)
    perClass.push({ n: count, zeroRows: zeroRows[k]!, withinDistance })
    n += count
    zeros += zeroRows[k]!
    present++
    between += terms[k]!
    spread += square
  }
  const totalDistance = Math.max(0, spread / present - terms[classes]!)
  const why = whyUndefined(n, zeros, zeroRows[classes]!, present, totalDistance)
  return {
    ...layer,
    r2: why === undefined ? between / present / totalDistance : null,
    ...(why === undefined ? {} : { undefined: why }),
    totalDistance,
    n,
    zeroRows: zeros,
    classes: present,
    perClass,
  }
}

function whyUndefined(
  n: number,
  zeroRows: number,
  unusable: number,
  present: number,
  totalDistance: number,
): string | undefined {
  if (present < 2) return 'all examples are of one class'
  if (unusable > 0)
    return `${unusable} examples hold NaN, infinities or numbers too large or small to square`
  if (zeroRows === n) return 'all features of all examples are 0'
  if (totalDistance < SMALLEST_DISTANCE) return 'the features of all examples have one direction'
  return undefined
}
