import { hashBits } from '../../src/selfTest/reference/compare.ts'

/** Standard normal values times `scale`, as f32, the same in every run. */
export function drawLogits(n: number, k: number, scale: number, seed: number): Float32Array {
  return Float32Array.from({ length: n * k }, (_, i) => {
    const u = (hashBits(i, seed) + 1) / 2 ** 32
    const v = hashBits(i, seed + 500) / 2 ** 32
    return scale * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v)
  })
}

/** Labels that include 0 and K - 1. */
export function drawLabels(n: number, k: number): Uint32Array {
  return Uint32Array.from({ length: n }, (_, i) => (i === 0 ? 0 : i === 1 ? k - 1 : (i * 7) % k))
}

export function oneHot(labels: Uint32Array, k: number): Float32Array {
  const t = new Float32Array(labels.length * k)
  labels.forEach((label, n) => {
    t[n * k + label] = 1
  })
  return t
}

/** Mixtures of two classes an example, as Mixup makes them. */
export function mixed(n: number, k: number): Float32Array {
  const t = new Float32Array(n * k)
  for (let i = 0; i < n; i++) {
    const share = (1 + (i % 7)) / 8
    t[i * k + (i % k)]! += share
    t[i * k + ((i * 5 + 1) % k)]! += 1 - share
  }
  return t
}

/** Rows on which formulas break: [6, K]. */
export function adversarialRows(k: number): Float32Array {
  const rows = new Float32Array(6 * k)
  rows.fill(3.25, 0, k)
  rows[k] = 1e30
  rows.fill(-1e4, 2 * k, 3 * k)
  rows.fill(1e-8, 4 * k, 5 * k)
  rows.set(drawLogits(1, k, 1e4, 77), 5 * k)
  return rows
}
