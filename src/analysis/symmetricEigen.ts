import { EigenvalueDecomposition, Matrix } from 'ml-matrix'

/** Eigenvalues, largest first, and the eigenvectors as columns. */
export interface SymmetricEigen {
  readonly values: readonly number[]
  readonly vectors: Matrix
}

/** A symmetric matrix in float64 of which a device array [stride, stride] holds the upper half. */
export function symmetricMatrix(upper: Float32Array, stride: number, size: number): Matrix {
  const matrix = new Matrix(size, size)
  for (let i = 0; i < size; i++)
    for (let j = i; j < size; j++) {
      const value = upper[i * stride + j]!
      matrix.set(i, j, value)
      matrix.set(j, i, value)
    }
  return matrix
}

/** The eigen-decomposition of a symmetric matrix, in float64. */
export function symmetricEigen(matrix: Matrix): SymmetricEigen {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  })
  const order = realEigenvalues
    .map((_, i) => i)
    .sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!)
  return {
    values: order.map((i) => realEigenvalues[i]!),
    vectors: eigenvectorMatrix.subMatrixColumn(order),
  }
}

/**
 * The eigenvalue below which those of a Gram matrix of float32 products are rounding: a symmetric
 * matrix of independent errors of size e has eigenvalues up to 2 e sqrt(size).
 */
export function eigenvalueNoise(matrix: Matrix): number {
  const largest = Math.max(...matrix.diagonal())
  return 8 * 2 ** -24 * Math.sqrt(matrix.rows) * largest
}
