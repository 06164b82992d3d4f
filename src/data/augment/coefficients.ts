/**
 * Factor and shift of each channel, from float64, for kernels: two vectors of four.
 *
 * @throws RangeError when there are not one or three of each, or one is out of range
 */
export function coefficientsOf({
  mean,
  std,
}: {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}): Float32Array {
  const coefficients = new Float32Array(8)
  if (mean.length !== std.length || (mean.length !== 1 && mean.length !== 3)) {
    throw new RangeError(
      `mean has ${mean.length} and std ${std.length} numbers, expected one or three of each`,
    )
  }
  for (let c = 0; c < 3; c++) {
    const m = mean[c % mean.length]!
    const s = std[c % std.length]!
    if (!Number.isFinite(m) || !(s > 0)) {
      throw new RangeError(
        `channel ${c} has mean ${m} and std ${s}, expected a finite mean and a positive std`,
      )
    }
    coefficients[c] = 1 / (255 * s)
    coefficients[4 + c] = -m / s
  }
  return coefficients
}
