import type { LogitTerms } from '../../losses/definition.ts'

export function squaredNorm(z: Float64Array): number {
  return z.reduce((sum, v) => sum + v * v, 0)
}

/** z / (tau |z|) (eq. 6) with |z|² at least 1e-12, or a copy of z where there is no tau. */
export function adjustedLogits(z: Float64Array, { tau }: LogitTerms): Float64Array {
  const factor = tau === undefined ? 1 : 1 / (tau * Math.sqrt(Math.max(squaredNorm(z), 1e-12)))
  return z.map((v) => v * factor)
}
