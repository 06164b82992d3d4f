import * as assert from 'uvu/assert'
import { normals } from '../devices.ts'

// f32 Gram entries against float64: measured below 1.4e-6, worst at 5 examples of 4,099 features.
const TOLERANCE = 1e-5

/** Features that share a part of what varies in `x`, about the same mean. */
export function related(
  x: Float32Array,
  n: number,
  q: number,
  mean: number,
  seed: number,
): Float32Array {
  const p = x.length / n
  return normals(n * q, seed).map((value, i) => {
    const row = Math.floor(i / q)
    return mean + value + 0.7 * (x[row * p + ((i % q) % p)]! - mean)
  })
}

/** Asserts that a similarity is near another. */
export function near(
  got: number | null,
  expected: number,
  what: string,
  tolerance = TOLERANCE,
): void {
  assert.ok(
    got !== null && Math.abs(got - expected) < tolerance,
    `${what}: ${got}, expected ${expected}`,
  )
}
