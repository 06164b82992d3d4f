/** Equal bins of confidence (Guo et al. 2017; the paper's C.2). */
const BINS = 15
/** Temperatures beyond these are no calibration: the likelihood has no inner maximum. */
const RANGE = [1e-3, 1e3] as const
const ITERATIONS = 100

/** How well predicted probabilities fit. */
export interface Calibration {
  /** Mean of -log p of the label, in nats. */
  readonly nll: number
  /** Sum over 15 equal bins of confidence of share * |accuracy - mean confidence|, 0..1. */
  readonly ece: number
}

/**
 * Negative log-likelihood and expected calibration error. A confidence on a border belongs to the
 * bin below it, 0 to the first (gpleiss/temperature_scaling).
 *
 * @param logProbabilities log p [N, K], row by row
 * @param labels [N], each below K
 */
export function calibrationOf(
  logProbabilities: Float64Array,
  labels: Uint32Array,
  classes: number,
): Calibration {
  const bins = Array.from({ length: BINS }, () => ({ confidence: 0, right: 0 }))
  let nll = 0
  for (const [n, label] of labels.entries()) {
    const row = logProbabilities.subarray(n * classes, (n + 1) * classes)
    nll -= row[label]!
    let best = 0
    for (let k = 1; k < classes; k++) if (row[k]! > row[best]!) best = k
    const confidence = Math.exp(row[best]!)
    const bin = bins[Math.max(0, Math.min(BINS, Math.ceil(confidence * BINS)) - 1)]!
    bin.confidence += confidence
    if (best === label) bin.right++
  }
  const gaps = bins.reduce((sum, { confidence, right }) => sum + Math.abs(confidence - right), 0)
  return { nll: nll / labels.length, ece: gaps / labels.length }
}

/** log softmax(log p / T), row by row: for softmax the same as of the logits over T. */
export function scaleProbabilities(
  logProbabilities: Float64Array,
  classes: number,
  temperature: number,
): Float64Array {
  const scaled = logProbabilities.map((value) => value / temperature)
  for (let start = 0; start < scaled.length; start += classes) {
    const row = scaled.subarray(start, start + classes)
    const total = logSumExp(row)
    for (let k = 0; k < classes; k++) row[k]! -= total
  }
  return scaled
}

function logSumExp(row: Float64Array): number {
  let most = Number.NEGATIVE_INFINITY
  for (const value of row) most = Math.max(most, value)
  let sum = 0
  for (const value of row) sum += Math.exp(value - most)
  return most + Math.log(sum)
}

/**
 * The temperature of the smallest negative log-likelihood. That is convex in 1 / T, so Newton's
 * method with a bracket finds it.
 *
 * @returns the temperature, or why there is none
 */
export function fitTemperature(
  logProbabilities: Float64Array,
  labels: Uint32Array,
  classes: number,
): { readonly temperature: number } | { readonly reason: string } {
  let low = 1 / RANGE[1]
  let high = 1 / RANGE[0]
  const at = (inverse: number) => slopes(logProbabilities, labels, classes, inverse)
  // At most 0: far beyond all mistakes the slope underflows.
  if (at(high).first <= 0)
    return { reason: 'the likelihood rises without end as the temperature falls: no mistakes' }
  if (at(low).first > 0)
    return {
      reason: 'the likelihood rises without end as the temperature rises: worse than chance',
    }
  let inverse = 1
  for (let i = 0; i < ITERATIONS && high / low - 1 > 1e-12; i++) {
    const { first, second } = at(inverse)
    if (first > 0) high = inverse
    else low = inverse
    const newton = inverse - first / second
    const next = newton > low && newton < high ? newton : Math.sqrt(low * high)
    if (Math.abs(next / inverse - 1) < 1e-12) break
    inverse = next
  }
  return { temperature: 1 / inverse }
}

/** First and second derivative of the mean negative log-likelihood by 1 / T. */
function slopes(
  logProbabilities: Float64Array,
  labels: Uint32Array,
  classes: number,
  inverse: number,
): { first: number; second: number } {
  let first = 0
  let second = 0
  const row = new Float64Array(classes)
  for (const [n, label] of labels.entries()) {
    const given = logProbabilities.subarray(n * classes, (n + 1) * classes)
    for (let k = 0; k < classes; k++) row[k] = given[k]! * inverse
    const total = logSumExp(row)
    let mean = 0
    let square = 0
    for (let k = 0; k < classes; k++) {
      const p = Math.exp(row[k]! - total)
      // A probability of 0 has no share in the mean, however low its logarithm.
      if (p === 0) continue
      mean += p * given[k]!
      square += p * given[k]! * given[k]!
    }
    first += mean - given[label]!
    second += square - mean * mean
  }
  return { first: first / labels.length, second: second / labels.length }
}

/**
 * Examples whose label is among the `k` highest scores; of equal scores the lower class counts first.
 *
 * @param scores [N, K]
 */
export function topCount(
  scores: ArrayLike<number>,
  labels: Uint32Array,
  classes: number,
  k: number,
): number {
  let count = 0
  for (const [n, label] of labels.entries()) {
    const own = scores[n * classes + label]!
    let before = 0
    for (let c = 0; c < classes; c++) {
      const other = scores[n * classes + c]!
      if (other > own || (other === own && c < label)) before++
    }
    if (before < k) count++
  }
  return count
}
