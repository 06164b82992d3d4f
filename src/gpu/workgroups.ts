const MAX_PER_DIMENSION = 65535

/**
 * Spreads a linear count of workgroups over x and y. A kernel counts them as y * groups.x + x and
 * ignores those past its last.
 */
export function foldWorkgroups(count: number): readonly [number, number, number] {
  if (count <= MAX_PER_DIMENSION) return [Math.max(1, count), 1, 1]
  const y = Math.ceil(count / MAX_PER_DIMENSION)
  return [Math.ceil(count / y), y, 1]
}
