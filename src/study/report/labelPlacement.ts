/**
 * Positions of labels that want to stand at `wanted` (pixels, downwards) but not closer to each other
 * than `spacing` nor outside [low, high]: the least-squares shift that keeps their order (pool adjacent
 * violators on the positions less their rank). Where they do not all fit, they are spread evenly over
 * the range. Returned in the order given.
 */
export function placeLabels(
  wanted: readonly number[],
  spacing: number,
  low: number,
  high: number,
): number[] {
  const count = wanted.length
  const step = count > 1 ? Math.min(spacing, (high - low) / (count - 1)) : spacing
  const order = wanted.map((_, i) => i).sort((i, j) => wanted[i]! - wanted[j]! || i - j)
  const pools: { sum: number; size: number }[] = []
  order.forEach((index, rank) => {
    let pool = { sum: wanted[index]! - rank * step, size: 1 }
    let above = pools.at(-1)
    while (above && above.sum / above.size >= pool.sum / pool.size) {
      pool = { sum: above.sum + pool.sum, size: above.size + pool.size }
      pools.pop()
      above = pools.at(-1)
    }
    pools.push(pool)
  })
  const placed = new Array<number>(count)
  const last = high - (count - 1) * step
  let rank = 0
  for (const pool of pools) {
    const base = Math.min(Math.max(pool.sum / pool.size, low), Math.max(last, low))
    for (let i = 0; i < pool.size; i++, rank++) placed[order[rank]!] = base + rank * step
  }
  return placed
}
