import type { Matrix } from 'ml-matrix'

/** Conventions of Table E.2 that its text leaves open. */
export interface CollapseOptions {
  /**
   * What the standard deviations divide by: the number of values (0, default), or one less (1, as in
   * the code of Papyan, Han and Donoho).
   */
  readonly ddof?: 0 | 1
  /** Whether the trace is divided by the number of classes: as in the table (default), or not. */
  readonly tracePerClass?: boolean
  /** Whether weights are taken at unit length, as cosine softmax uses them. */
  readonly unitWeights?: boolean
}

/** The measures of Table E.2, in its order; `mu` are class means less their mean, `w` weights. */
export interface CollapseMeasures {
  /** Standard deviation of the norms over their mean. */
  readonly cvMu: number | null
  readonly cvW: number | null
  /** Standard deviation of the cosines of all pairs of classes. */
  readonly stdCosMu: number | null
  readonly stdCosW: number | null
  /** Mean over those pairs of |cosine + 1 / (C - 1)|. */
  readonly avgCosMu: number | null
  readonly avgCosW: number | null
  /** |W / |W| - M / |M||^2, Frobenius norms. */
  readonly duality: number | null
  /** Tr(SW SB^+) / C: SW of all examples alike, SB of all classes alike. */
  readonly trace: number | null
}

export interface CollapseResult extends CollapseMeasures {
  /** Why a measure is null. */
  readonly undefined: Readonly<Record<string, string>>
  readonly n: number
  /** Classes that occur. */
  readonly classes: number
  /** Directions in which the class means differ: the rank of SB, up to rounding. */
  readonly rank: number
}

/** What `NeuralCollapse` brings to the host. */
export interface CollapseSums {
  /** [2 classes, 2 classes]: products of centred class means, then of weights; those 0 if none. */
  readonly products: Matrix
  readonly present: readonly number[]
  readonly classes: number
  readonly n: number
  /** Eigenvalues kept of the class means' products. */
  readonly values: readonly number[]
  /** Tr(SW SB^+) / C. */
  readonly trace: number
}

/** The measures from the products of class means and weights, in float64. */
export function collapseOf(sums: CollapseSums, options: CollapseOptions): CollapseResult {
  const { products, present, classes, n, values } = sums
  const { ddof = 0, tracePerClass = true, unitWeights = false } = options
  const reasons: Record<string, string> = {}
  const noMeans = whyNoMeans(sums)
  const means = frameOf(products, present, 'class mean', ddof, noMeans)
  const all = Array.from({ length: classes }, (_, k) => classes + k)
  const hasWeights = all.some((k) => products.get(k, k) !== 0)
  const weights = frameOf(products, all, 'weight', ddof, whyNoWeights(products, all, hasWeights))
  const dual = dualityOf(sums, unitWeights, noMeans ?? weights.why)
  const parts = {
    cvMu: means.cv,
    cvW: unitWeights && weights.why === undefined ? { value: 0 } : weights.cv,
    stdCosMu: means.std,
    stdCosW: weights.std,
    avgCosMu: means.average,
    avgCosW: weights.average,
    duality: dual,
    trace:
      noMeans !== undefined
        ? { why: noMeans }
        : Number.isFinite(sums.trace)
          ? { value: sums.trace * (tracePerClass ? 1 : classes) }
          : { why: 'the features hold numbers too large to square' },
  }
  for (const [name, { why }] of Object.entries(parts) as [string, Part][])
    if (why !== undefined) reasons[name] = why
  const measures = Object.fromEntries(
    Object.entries(parts).map(([name, part]: [string, Part]) => [name, part.value ?? null]),
  ) as unknown as CollapseMeasures
  return { ...measures, undefined: reasons, n, classes: present.length, rank: values.length }
}

/** A value, or why there is none. */
interface Part {
  readonly value?: number
  readonly why?: string
}

function whyNoMeans({ products, present, values }: CollapseSums): string | undefined {
  if (present.length < 2) return 'all examples are of one class'
  if (!present.every((k) => Number.isFinite(products.get(k, k))))
    return 'the features hold NaN, infinities or numbers too large to square'
  if (values.length === 0) return 'all classes have one mean'
  return undefined
}

function whyNoWeights(products: Matrix, all: number[], hasWeights: boolean): string | undefined {
  if (!hasWeights) return 'no weights were given, or all are 0'
  if (!all.every((k) => Number.isFinite(products.get(k, k))))
    return 'the weights hold NaN, infinities or numbers too large to square'
  return undefined
}

/** Norms and angles of some rows, from their products. */
function frameOf(
  products: Matrix,
  rows: readonly number[],
  what: string,
  ddof: number,
  why: string | undefined,
): { cv: Part; std: Part; average: Part; why: string | undefined } {
  if (why !== undefined) return { cv: { why }, std: { why }, average: { why }, why }
  const norms = rows.map((k) => Math.sqrt(products.get(k, k)))
  const cv = { value: deviation(norms, ddof) / mean(norms) }
  if (norms.some((norm) => norm === 0)) {
    const zero = `a ${what} is 0 and has no direction`
    return { cv, std: { why: zero }, average: { why: zero }, why }
  }
  const cosines: number[] = []
  for (const [i, a] of rows.entries())
    for (const [j, b] of rows.entries()) {
      if (i === j) continue
      cosines.push(products.get(a, b) / norms[i]! / norms[j]!)
    }
  const simplex = 1 / (rows.length - 1)
  return {
    cv,
    std: { value: deviation(cosines, ddof) },
    average: { value: mean(cosines.map((cosine) => Math.abs(cosine + simplex))) },
    why,
  }
}

function dualityOf(
  { products, present, classes }: CollapseSums,
  unitWeights: boolean,
  why: string | undefined,
): Part {
  if (why !== undefined) return { why }
  if (present.length < classes)
    return { why: `${classes - present.length} of the ${classes} classes have no examples` }
  let [ofMeans, ofWeights, between] = [0, 0, 0]
  for (let k = 0; k < classes; k++) {
    const square = products.get(classes + k, classes + k)
    const norm = unitWeights && square > 0 ? Math.sqrt(square) : 1
    ofMeans += products.get(k, k)
    ofWeights += square / norm ** 2
    between += products.get(k, classes + k) / norm
  }
  return { value: 2 - (2 * between) / Math.sqrt(ofMeans * ofWeights) }
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}

function deviation(values: readonly number[], ddof: number): number {
  const centre = mean(values)
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0)
  return Math.sqrt(squares / (values.length - ddof))
}
