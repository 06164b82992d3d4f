import { adjustedLogits, squaredNorm } from '../../src/selfTest/reference/logitTerms.ts'

/** One example's loss and its gradient, in float64. */
export interface RowResult {
  readonly loss: number
  readonly gradient: Float64Array
  /** Largest of the terms that the gradient is a difference of: what rounding is relative to. It is the
   * gradient itself where the target is 0 or 1, since 1 - p is formed without a difference. */
  readonly size: number
  /** Largest exponent: the relative error of an exponential is that of its exponent times this. */
  readonly range: number
}

export interface RowParameters {
  readonly smoothing?: number
  readonly tau?: number
  readonly penalty?: number
  readonly shift?: number
  readonly kappa?: number
  readonly m?: number
  readonly scale?: number
}

type RowLoss = (z: Float64Array, t: Float64Array, parameters: RowParameters) => RowResult

const largestOf = (values: Float64Array) => values.reduce((a, v) => Math.max(a, Math.abs(v)), 0)

/** The size of g = p - t, p and t being terms of it wherever t is neither 0 nor 1. */
function sizeOf(g: Float64Array, t: Float64Array): number {
  return g.reduce((size, v, k) => {
    const terms = t[k] === 0 || t[k] === 1 ? 0 : Math.max(t[k]!, v + t[k]!)
    return Math.max(size, Math.abs(v), terms)
  }, 0)
}

/** Through y = z / (tau |z|): g -> (g - (g.u) u) / (tau |z|), or g / (tau 1e-6) on the floor. */
function throughNorm(
  z: Float64Array,
  g: Float64Array,
  size: number,
  { tau }: RowParameters,
): Pick<RowResult, 'gradient' | 'size'> {
  if (tau === undefined) return { gradient: g, size }
  const square = squaredNorm(z)
  const inverse = 1 / (tau * Math.sqrt(Math.max(square, 1e-12)))
  const dot = square < 1e-12 ? 0 : z.reduce((sum, v, k) => sum + v * g[k]!, 0) / square
  const gradient = g.map((v, k) => inverse * (v - dot * z[k]!))
  return { gradient, size: inverse * size }
}

function withPenalty(z: Float64Array, result: RowResult, penalty = 0): RowResult {
  return {
    range: result.range,
    size: result.size + 2 * penalty * largestOf(z),
    loss: result.loss + penalty * squaredNorm(z),
    gradient: result.gradient.map((v, k) => v + 2 * penalty * z[k]!),
  }
}

const softmax: RowLoss = (z, t, parameters) => {
  const { smoothing = 0, penalty } = parameters
  const y = adjustedLogits(z, parameters)
  const largest = y.reduce((a, b) => Math.max(a, b))
  const first = y.indexOf(largest)
  const rest = y.reduce((sum, v, k) => sum + (k === first ? 0 : Math.exp(v - largest)), 0)
  const target = t.map((v) => (1 - smoothing) * v + smoothing / z.length)
  const logSum = Math.log1p(rest)
  const loss = target.reduce((sum, v, k) => sum + v * (logSum + (largest - y[k]!)), 0)
  const mass = target.reduce((a, b) => a + b)
  const g = y.map((v, k) =>
    v === largest
      ? mass - target[k]! - (mass * rest) / (1 + rest)
      : (mass * Math.exp(v - largest)) / (1 + rest) - target[k]!,
  )
  const scaled = g.map((v) => v / (1 - smoothing))
  const size = sizeOf(g, target) / (1 - smoothing)
  const range = Math.min(87, largest - y.reduce((a, b) => Math.min(a, b)))
  return withPenalty(
    z,
    { loss: loss / (1 - smoothing), ...throughNorm(z, scaled, size, parameters), range },
    penalty,
  )
}

const sigmoid: RowLoss = (row, t, parameters) => {
  const { shift = 0, penalty } = parameters
  const z = row.map((v) => v + shift)
  const y = adjustedLogits(z, parameters)
  const softplus = (v: number) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))
  const logistic = (v: number) =>
    v >= 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v))
  const loss = y.reduce((s, v, k) => s + t[k]! * softplus(-v) + (1 - t[k]!) * softplus(v), 0)
  const g = y.map((v, k) => (1 - t[k]!) * logistic(v) - t[k]! * logistic(-v))
  return withPenalty(
    z,
    { loss, ...throughNorm(z, g, sizeOf(g, t), parameters), range: Math.min(87, largestOf(y)) },
    penalty,
  )
}

const squared: RowLoss = (z, t, { kappa = 9, m = 60, scale = 10 }) => {
  const factor = scale / z.length
  const loss = z.reduce((sum, v, k) => sum + kappa * t[k]! * (v - m) ** 2 + (1 - t[k]!) * v ** 2, 0)
  const gradient = z.map((v, k) => 2 * factor * (kappa * t[k]! * (v - m) + (1 - t[k]!) * v))
  return { loss: factor * loss, gradient, size: largestOf(gradient), range: 0 }
}

/** By the op's name. */
export const rowLosses: Readonly<Record<string, RowLoss>> = {
  softmaxCrossEntropy: softmax,
  sigmoidCrossEntropy: sigmoid,
  squaredError: squared,
}
