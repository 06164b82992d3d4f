/** Norm of the difference over norm of the expected values; plain norm where those are all 0. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length)
    throw new Error(`${actual.length} values, expected ${expected.length}`)
  let difference = 0
  let norm = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2
    norm += expected[i]! ** 2
  }
  return Math.sqrt(norm === 0 ? difference : difference / norm)
}

/** Deterministic values in [-0.5, 0.5), exactly representable in f32: a hash of the index. */
export function hashValues(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => {
    let u = (Math.imul(i, 2654435761) + seed * 40503 + 12345) >>> 0
    u = Math.imul(u ^ (u >>> 15), 2246822519) >>> 0
    u = Math.imul(u ^ (u >>> 13), 3266489917) >>> 0
    u = (u ^ (u >>> 16)) >>> 0
    return u / 2 ** 32 - 0.5
  })
}
