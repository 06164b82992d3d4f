import { philox4x32, philoxKey } from './philox.ts'

/** Indexes stop here: four words a block, 2^32 blocks. */
const INDEX_LIMIT = 2 ** 34

/**
 * Random draws addressed by index: a pure function of (seed, stream, step, index), with no state
 * that advances, so a resumed run, another order of calls or the GPU gives the same draw.
 *
 * Philox layout, shared with shaders/lib/philox.wesl:
 *
 *   key     = (seed mod 2^32, floor(seed / 2^32))
 *   counter = (block, attempt, step, stream)      block = floor(index / 4)
 *   word of an index = output[index mod 4]
 *
 * `attempt` is 0 but for draws that reject: they take the same word of the next attempt. The
 * kinds of draw share the words, so use one (stream, step) for one purpose only.
 */
export class RandomStream {
  readonly seed: number
  readonly stream: number
  readonly step: number
  readonly #key: [number, number]
  readonly #counter: Uint32Array
  // The block computed last: neighbouring indexes share one. It changes the cost, not the draws.
  readonly #words = new Uint32Array(4)
  #block = -1
  #attempt = -1

  /**
   * @param seed an integer in [0, 2^53 - 1].
   * @param stream a constant of `streams` (u32).
   * @param step u32; what it counts is documented with the stream.
   * @throws RangeError when one is out of its range.
   */
  constructor(seed: number, stream: number, step = 0) {
    this.#key = philoxKey(seed)
    requireU32('stream', stream)
    requireU32('step', step)
    this.seed = seed
    this.stream = stream
    this.step = step
    this.#counter = new Uint32Array([0, 0, step, stream])
  }

  /**
   * The 32 random bits at an index, as an integer in [0, 2^32).
   *
   * @param index an integer in [0, 2^34).
   * @param attempt u32; 0 but for draws that reject.
   * @throws RangeError for an index out of range.
   */
  bits(index: number, attempt = 0): number {
    if (!Number.isInteger(index) || index < 0 || index >= INDEX_LIMIT) {
      throw new RangeError(`index is ${index}, expected an integer from 0 to ${INDEX_LIMIT - 1}`)
    }
    const block = Math.floor(index / 4)
    if (block !== this.#block || attempt !== this.#attempt) {
      this.#counter[0] = block
      this.#counter[1] = attempt
      philox4x32(this.#counter, this.#key, this.#words)
      this.#block = block
      this.#attempt = attempt
    }
    return this.#words[index % 4]!
  }

  /** Uniform in [0, 1): the upper 24 bits over 2^24, exact in f32 and the same on the GPU. */
  uniform(index: number): number {
    return (this.bits(index) >>> 8) / 0x1000000
  }

  /**
   * Standard normal, |z| <= 6.67, by Box-Muller in float64 on the words of the index's pair:
   * with u1 = (w[2p] + 1) / 2^32, u2 = w[2p+1] / 2^32 and p = floor(index / 2), the even index is
   * sqrt(-2 ln u1) cos(2 pi u2), the odd one the sine.
   *
   * The bits are those of the JavaScript engine's log, sin and cos: another version of it may
   * differ in the last place.
   */
  normal(index: number): number {
    return this.#normal(index, 0)
  }

  /** deviation * `normal(0)`, deviation * `normal(1)` ... in `out`: quicker than one by one. */
  fillNormal(out: Float32Array | Float64Array, deviation = 1): void {
    const { length } = out
    if (length > INDEX_LIMIT)
      throw new RangeError(`out has ${length} items, expected at most ${INDEX_LIMIT}`)
    const counter = this.#counter
    const words = this.#words
    counter[1] = 0
    for (let index = 0; index < length; index += 4) {
      counter[0] = index / 4
      philox4x32(counter, this.#key, words)
      for (let pair = 0; pair < 4; pair += 2) {
        const radius = Math.sqrt(-2 * Math.log((words[pair]! + 1) / 2 ** 32))
        const angle = (2 * Math.PI * words[pair + 1]!) / 2 ** 32
        // Writes past the end of a typed array are dropped.
        out[index + pair] = deviation * (radius * Math.cos(angle))
        out[index + pair + 1] = deviation * (radius * Math.sin(angle))
      }
    }
    this.#block = -1
  }

  /**
   * Standard normal conditioned on |z| <= limit, by rejection (4.6 % at limit 2). Its standard
   * deviation is below 1: 0.8796 at limit 2.
   *
   * @param limit at least 0.1.
   * @throws RangeError for a smaller limit.
   */
  truncatedNormal(index: number, limit = 2): number {
    if (!(limit >= 0.1)) throw new RangeError(`limit is ${limit}, expected at least 0.1`)
    for (let attempt = 0; ; attempt++) {
      const z = this.#normal(index, attempt)
      if (Math.abs(z) <= limit) return z
    }
  }

  /**
   * Uniform integer in [0, bound), unbiased: words of the incomplete last multiple are rejected.
   *
   * @param bound an integer in [1, 2^32].
   * @throws RangeError when it is not.
   */
  integer(index: number, bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
      throw new RangeError(`bound is ${bound}, expected an integer from 1 to ${2 ** 32}`)
    }
    const accepted = 2 ** 32 - (2 ** 32 % bound)
    for (let attempt = 0; ; attempt++) {
      const word = this.bits(index, attempt)
      if (word < accepted) return word % bound
    }
  }

  /**
   * A uniformly drawn order of 0 .. n-1 by Fisher-Yates, from the last place down; place i swaps
   * with `integer(i, i + 1)`.
   *
   * @param n an integer in [0, 2^32 - 1].
   * @throws RangeError when it is not.
   */
  permutation(n: number): Uint32Array {
    requireU32('n', n)
    const order = Uint32Array.from({ length: n }, (_, i) => i)
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i, i + 1)
      const moved = order[i]!
      order[i] = order[j]!
      order[j] = moved
    }
    return order
  }

  #normal(index: number, attempt: number): number {
    const even = index - (index % 2)
    const u1 = (this.bits(even, attempt) + 1) / 2 ** 32
    const angle = (2 * Math.PI * this.bits(even + 1, attempt)) / 2 ** 32
    const radius = Math.sqrt(-2 * Math.log(u1))
    return index === even ? radius * Math.cos(angle) : radius * Math.sin(angle)
  }
}

function requireU32(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new RangeError(`${name} is ${value}, expected an integer from 0 to ${2 ** 32 - 1}`)
  }
}
