export interface RankCorrelation {
  /** Spearman's rho, -1..1; NaN where all values of a list are equal. */
  readonly rho: number
  /** Exact two-sided p: the share of all n! orders of one list with |rho| at least as large. */
  readonly p: number
}

/** More would take minutes: the orders are enumerated. */
const MOST_PAIRS = 10

/**
 * Spearman's rank correlation of two lists of 2 to 10 values, equal values sharing their mean rank.
 *
 * @throws Error on lists of other or unequal lengths
 */
export function spearman(x: readonly number[], y: readonly number[]): RankCorrelation {
  const n = x.length
  if (n !== y.length || n < 2 || n > MOST_PAIRS)
    throw new Error(`spearman: ${n} and ${y.length} values, expected as many of both, 2 to 10`)
  const a = centredRanks(x)
  const b = centredRanks(y)
  const scale = Math.sqrt(dot(a, a) * dot(b, b))
  if (scale === 0) return { rho: Number.NaN, p: Number.NaN }
  const observed = dot(a, b)
  // Ranks are halves of whole numbers, so products that should be equal differ by rounding only.
  const least = Math.abs(observed) - 1e-9
  let orders = 0
  let asExtreme = 0
  const used = new Array<boolean>(n).fill(false)
  const place = (i: number, sum: number): void => {
    if (i === n) {
      orders++
      if (Math.abs(sum) >= least) asExtreme++
      return
    }
    for (let j = 0; j < n; j++) {
      if (used[j]) continue
      used[j] = true
      place(i + 1, sum + a[i]! * b[j]!)
      used[j] = false
    }
  }
  place(0, 0)
  return { rho: observed / scale, p: asExtreme / orders }
}

/** Rank of each value less the mean rank. */
function centredRanks(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length
    const equal = values.filter((other) => other === value).length
    return below + equal / 2 - values.length / 2
  })
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}
