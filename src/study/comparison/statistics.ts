import jStat from 'jstat'

/** A mean over seeds. */
export interface Estimate {
  readonly values: readonly number[]
  readonly mean: number
  /** Standard deviation over the seeds (n - 1); null for one. */
  readonly sd: number | null
  /** Standard error of the mean; null for one seed. */
  readonly se: number | null
}

/** @param values at least one */
export function estimate(values: readonly number[]): Estimate {
  const mean = jStat.mean(values)
  const sd = values.length > 1 ? Math.sqrt(jStat.variance(values, true)) : null
  return { values, mean, sd, se: sd === null ? null : sd / Math.sqrt(values.length) }
}

/** A difference of two means with its 95 % interval, and the p of there being none. */
export interface Difference {
  readonly difference: number
  /** null where there are fewer than two values of each, or they do not vary. */
  readonly interval: readonly [number, number] | null
  readonly p: number | null
}

/** Share of intervals that should hold the true value. */
const COVERAGE = 0.95

/** Mean of `a` less mean of `b` by Welch's two-sided t-test: neither equal variances nor pairs are assumed. */
export function welch(a: Estimate, b: Estimate): Difference {
  const difference = a.mean - b.mean
  const unknown = { difference, interval: null, p: null }
  if (a.se === null || b.se === null) return unknown
  const variance = a.se ** 2 + b.se ** 2
  if (variance === 0) return unknown
  const freedom =
    variance ** 2 / (a.se ** 4 / (a.values.length - 1) + b.se ** 4 / (b.values.length - 1))
  const se = Math.sqrt(variance)
  const half = jStat.studentt.inv((1 + COVERAGE) / 2, freedom) * se
  return {
    difference,
    interval: [difference - half, difference + half],
    p: 2 * jStat.studentt.cdf(-Math.abs(difference / se), freedom),
  }
}

/** The 95 % interval of a mean by Student's t; null for fewer than two values. */
export function meanInterval({ mean, se, values }: Estimate): readonly [number, number] | null {
  if (se === null) return null
  const half = jStat.studentt.inv((1 + COVERAGE) / 2, values.length - 1) * se
  return [mean - half, mean + half]
}

/**
 * The 95 % interval of a rank correlation of n pairs by Fisher's z with the standard error of Bonett
 * and Wright 2000, sqrt((1 + rho² / 2) / (n - 3)); null for fewer than four pairs or |rho| = 1.
 */
export function correlationInterval(rho: number, n: number): readonly [number, number] | null {
  if (n < 4 || !(Math.abs(rho) < 1)) return null
  const half = jStat.normal.inv((1 + COVERAGE) / 2, 0, 1) * Math.sqrt((1 + rho ** 2 / 2) / (n - 3))
  return [Math.tanh(Math.atanh(rho) - half), Math.tanh(Math.atanh(rho) + half)]
}
