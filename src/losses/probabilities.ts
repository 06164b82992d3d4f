/** z_k -> z_k - logsumexp(z), in place. */
export function logSoftmax(z: Float64Array): void {
  const largest = z.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const logSum = largest + Math.log(z.reduce((sum, v) => sum + Math.exp(v - largest), 0))
  for (let k = 0; k < z.length; k++) z[k]! -= logSum
}

/** z_k -> log(s_k / sum_j s_j) with s the logistic sigmoid, in place. */
export function logNormalizedSigmoid(z: Float64Array): void {
  for (let k = 0; k < z.length; k++)
    z[k] = Math.min(z[k]!, 0) - Math.log1p(Math.exp(-Math.abs(z[k]!)))
  logSoftmax(z)
}

/** z -> z / (tau |z|), in place; |z|² at least 1e-12, as in the loss. */
export function normalizeLogits(z: Float64Array, tau: number): void {
  const square = z.reduce((sum, v) => sum + v * v, 0)
  const factor = 1 / (tau * Math.sqrt(Math.max(square, 1e-12)))
  for (let k = 0; k < z.length; k++) z[k]! *= factor
}
