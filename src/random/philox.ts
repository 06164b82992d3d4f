/**
 * Philox4x32-10: a bijection of 128-bit counters, keyed by 64 bits, whose outputs pass the usual
 * batteries of randomness tests. J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3", SC 2011, section 4.3; the constants are Random123's.
 *
 * Exact in u32 arithmetic, so shaders/lib/philox.wesl gives the same words on any GPU.
 */

const MULTIPLIER_0 = 0xd2511f53
const MULTIPLIER_1 = 0xcd9e8d57
const WEYL_0 = 0x9e3779b9
const WEYL_1 = 0xbb67ae85
const ROUNDS = 10

/**
 * High 32 bits of the 64-bit product of two u32, given its low ones. The float64 product is off by
 * at most 2^10, and without its low bits it is a multiple of 2^32 but for that.
 */
function multiplyHigh(a: number, b: number, low: number): number {
  return ((a * b - low) / 2 ** 32 + 0.5) >>> 0
}

/**
 * Ten rounds of Philox4x32 on one counter.
 *
 * @param counter four u32 words, least significant first (Random123's order).
 * @param key two u32 words.
 * @param out where the four u32 words go; a new array without it. May be `counter` itself.
 * @returns `out`.
 */
export function philox4x32(
  counter: ArrayLike<number>,
  key: ArrayLike<number>,
  out: Uint32Array = new Uint32Array(4),
): Uint32Array {
  let c0 = counter[0]! >>> 0
  let c1 = counter[1]! >>> 0
  let c2 = counter[2]! >>> 0
  let c3 = counter[3]! >>> 0
  let k0 = key[0]! >>> 0
  let k1 = key[1]! >>> 0
  for (let round = 0; round < ROUNDS; round++) {
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0
    const high0 = multiplyHigh(MULTIPLIER_0, c0, low0)
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0
    const high1 = multiplyHigh(MULTIPLIER_1, c2, low1)
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + WEYL_0) >>> 0
    k1 = (k1 + WEYL_1) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
  return out
}

/**
 * The Philox key of a seed: its low and its high 32 bits.
 *
 * @param seed an integer in [0, 2^53 - 1].
 * @throws RangeError when it is not.
 */
export function philoxKey(seed: number): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(
      `seed is ${seed}, expected an integer from 0 to ${Number.MAX_SAFE_INTEGER}`,
    )
  }
  return [seed >>> 0, Math.floor(seed / 2 ** 32)]
}
