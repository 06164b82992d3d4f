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

/** 32 well-mixed bits of an index and a seed; reference/hashTensor.py makes the same. */
export function hashBits(index: number, seed: number): number {
  let u = (Math.imul(index, 2654435761) + Math.imul(seed, 40503) + 12345) >>> 0
  u = Math.imul(u ^ (u >>> 15), 2246822519) >>> 0
  u = Math.imul(u ^ (u >>> 13), 3266489917) >>> 0
  return (u ^ (u >>> 16)) >>> 0
}

/** Deterministic values in [-0.5, 0.5], exactly representable in f32: a hash of the index. */
export function hashValues(length: number, seed: number): Float32Array {
  const values = new Float32Array(length)
  for (let i = 0; i < length; i++) values[i] = hashBits(i, seed) / 2 ** 32 - 0.5
  return values
}
