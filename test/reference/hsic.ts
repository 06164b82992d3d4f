/** Gram matrix X X^T of rows x [n, p], in double precision. */
export function gram(x: ArrayLike<number>, n: number, p: number): Float64Array {
  const k = new Float64Array(n * n)
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0
      for (let f = 0; f < p; f++) sum += x[i * p + f]! * x[j * p + f]!
      k[i * n + j] = sum
      k[j * n + i] = sum
    }
  return k
}

/**
 * The unbiased estimator HSIC_1 as Song et al. 2012 (eq. 5) write it, with traces and sums of the
 * kernels whose diagonals are zero.
 */
export function unbiasedHsic(k: Float64Array, l: Float64Array, n: number): number {
  let trace = 0
  let sumK = 0
  let sumL = 0
  let product = 0
  for (let i = 0; i < n; i++) {
    let rowK = 0
    let rowL = 0
    for (let j = 0; j < n; j++) {
      if (i === j) continue
      trace += k[i * n + j]! * l[i * n + j]!
      rowK += k[i * n + j]!
      rowL += l[i * n + j]!
    }
    sumK += rowK
    sumL += rowL
    product += rowK * rowL
  }
  return (trace + (sumK * sumL) / ((n - 1) * (n - 2)) - (2 * product) / (n - 2)) / (n * (n - 3))
}
