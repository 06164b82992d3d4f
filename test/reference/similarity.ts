/** Float64 references of the representation measures, as naive as their definitions. */

/** Rows [n][p]. */
export type Rows = readonly Float64Array[]

export function rowsOf(data: ArrayLike<number>, n: number): Rows {
  const p = data.length / n
  return Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: p }, (__, j) => data[i * p + j]!),
  )
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let j = 0; j < a.length; j++) sum += a[j]! * b[j]!
  return sum
}

/** X X^T of rows with their column means taken off, which changes neither estimator. */
function gram(x: Rows): number[][] {
  const mean = new Float64Array(x[0]!.length)
  for (const row of x) for (let j = 0; j < mean.length; j++) mean[j]! += row[j]! / x.length
  const centred = x.map((row) => row.map((value, j) => value - mean[j]!))
  return centred
    .map((a, i) => centred.map((b, j) => (j < i ? 0 : dot(a, b))))
    .map((row, i, all) => row.map((value, j) => (j < i ? all[j]![i]! : value)))
}

/** HSIC_1 of Song et al. 2012, with its three terms written out. */
function unbiasedHsic(k: number[][], l: number[][]): number {
  const n = k.length
  const sums = (m: number[][]) =>
    m.map((row, i) => row.reduce((sum, value, j) => (i === j ? sum : sum + value), 0))
  const [rowsK, rowsL] = [sums(k), sums(l)]
  let trace = 0
  let cross = 0
  for (let i = 0; i < n; i++) {
    cross += rowsK[i]! * rowsL[i]!
    for (let j = 0; j < n; j++) if (i !== j) trace += k[i]![j]! * l[j]![i]!
  }
  const total = (sum: number[]) => sum.reduce((a, b) => a + b, 0)
  const outer = (total(rowsK) * total(rowsL)) / ((n - 1) * (n - 2))
  return (trace + outer - (2 / (n - 2)) * cross) / (n * (n - 3))
}

/** tr(K H L H) / (n - 1)^2; the Gram matrices are centred already. */
function biasedHsic(k: number[][], l: number[][]): number {
  let sum = 0
  for (const [i, row] of k.entries())
    for (const [j, value] of row.entries()) sum += value * l[i]![j]!
  return sum / (k.length - 1) ** 2
}

/** Mean HSIC(X, Y), HSIC(X, X) and HSIC(Y, Y) over minibatches, and CKA of them. */
export function ckaReference(
  batches: readonly (readonly [Rows, Rows])[],
  estimator: 'unbiased' | 'biased' = 'unbiased',
) {
  const hsic = estimator === 'unbiased' ? unbiasedHsic : biasedHsic
  let [xy, xx, yy] = [0, 0, 0]
  for (const [x, y] of batches) {
    const [k, l] = [gram(x), gram(y)]
    xy += hsic(k, l) / batches.length
    xx += hsic(k, k) / batches.length
    yy += hsic(l, l) / batches.length
  }
  return { cka: xy / Math.sqrt(xx * yy), xy, xx, yy }
}

/** Rows less the mean of all rows, or less the mean of the means of the classes that occur. */
export function centredRows(x: Rows, by: 'example' | 'class', labels: ArrayLike<number>): Rows {
  const counts = new Map<number, number>()
  for (let i = 0; i < x.length; i++) counts.set(labels[i]!, (counts.get(labels[i]!) ?? 0) + 1)
  const mean = new Float64Array(x[0]!.length)
  for (const [i, row] of x.entries()) {
    const weight = by === 'example' ? x.length : counts.get(labels[i]!)! * counts.size
    for (let j = 0; j < mean.length; j++) mean[j]! += row[j]! / weight
  }
  return x.map((row) => row.map((value, j) => value - mean[j]!))
}

/**
 * Class separation by the double sums of eq. 11 and 12, pairs of a row with itself included: one
 * minus the mean distance within a class over that between two classes drawn alike.
 */
export function separationReference(
  x: Rows,
  labels: ArrayLike<number>,
  classes: number,
  by: 'cosine' | 'euclidean' = 'cosine',
) {
  const rows = x.map((row) => {
    const norm = Math.sqrt(dot(row, row))
    return by === 'euclidean' ? row : row.map((value) => (norm === 0 ? 0 : value / norm))
  })
  const members = Array.from({ length: classes }, (_, k) => rows.filter((_, i) => labels[i] === k))
  const present = members.filter((rows) => rows.length > 0)
  const squaredDistance = (u: Float64Array, v: Float64Array) => {
    let sum = 0
    for (let j = 0; j < u.length; j++) sum += (u[j]! - v[j]!) ** 2
    return sum
  }
  const distance =
    by === 'euclidean' ? squaredDistance : (u: Float64Array, v: Float64Array) => 1 - dot(u, v)
  const meanDistance = (a: Rows, b: Rows) => {
    let sum = 0
    for (const u of a) for (const v of b) sum += distance(u, v)
    return sum / (a.length * b.length)
  }
  let total = 0
  for (const a of present) for (const b of present) total += meanDistance(a, b)
  total /= present.length ** 2
  const within = present.map((rows) => meanDistance(rows, rows))
  const mean = within.reduce((a, b) => a + b, 0) / present.length
  return { r2: 1 - mean / total, within, total }
}

/** The closed form in float64, which the double sum equals. */
export function separationClosedForm(
  x: Float32Array,
  labels: Uint32Array,
  classes: number,
): number {
  const n = labels.length
  const p = x.length / n
  const means = Array.from({ length: classes }, () => new Float64Array(p))
  const counts = new Float64Array(classes)
  for (const [i, label] of labels.entries()) {
    const row = Float64Array.from(x.subarray(i * p, (i + 1) * p))
    const norm = Math.hypot(...row)
    for (let j = 0; j < p; j++) means[label]![j]! += row[j]! / norm
    counts[label]!++
  }
  const square = (v: Float64Array) => v.reduce((sum, value) => sum + value * value, 0)
  const mean = new Float64Array(p)
  let within = 0
  for (const [k, sums] of means.entries()) {
    for (let j = 0; j < p; j++) {
      sums[j]! /= counts[k]!
      mean[j]! += sums[j]! / classes
    }
    within += square(sums) / classes
  }
  return (within - square(mean)) / (1 - square(mean))
}
