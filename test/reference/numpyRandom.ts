/**
 * numpy.random.seed(seed) and numpy.random.randn: Mersenne Twister (Matsumoto and Nishimura 1998)
 * with 53-bit uniforms and Marsaglia's polar method, as NumPy's legacy generator has them.
 */
export function numpyRandn(seed: number): () => number {
  const state = new Uint32Array(624)
  state[0] = seed
  for (let i = 1; i < 624; i++) {
    const previous = state[i - 1]! ^ (state[i - 1]! >>> 30)
    state[i] = Math.imul(1812433253, previous) + i
  }
  let next = 624
  const bits = (): number => {
    if (next === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff)
        state[i] = state[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
      }
      next = 0
    }
    let y = state[next++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }
  const uniform = () => {
    const high = bits() >>> 5
    return (high * 67108864 + (bits() >>> 6)) / 9007199254740992
  }
  let kept: number | undefined
  return () => {
    if (kept !== undefined) {
      const value = kept
      kept = undefined
      return value
    }
    for (;;) {
      const x1 = 2 * uniform() - 1
      const x2 = 2 * uniform() - 1
      const r2 = x1 * x1 + x2 * x2
      if (r2 >= 1 || r2 === 0) continue
      const factor = Math.sqrt((-2 * Math.log(r2)) / r2)
      kept = factor * x1
      return factor * x2
    }
  }
}
