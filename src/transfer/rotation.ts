import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { addCombination } from './combination.ts'

/** Columns below this share of the widest one's deviation hold rounding only. */
const NEGLIGIBLE = 1e-12
const ROWS_TOGETHER = 8

/** Features in other coordinates. */
export interface RotatedFeatures {
  /** [n, width]: the rotated features, a column of ones at `rank`, zeros up to a multiple of 4. */
  readonly values: Float32Array
  readonly n: number
  readonly width: number
}

/**
 * A change of coordinates of features x [n, p] for a linear classifier,
 *
 *   z = (x - mean) V        V [p, rank] with orthonormal columns, principal axes of the features
 *
 * under which the classifier x W + b becomes z U + c with W = V U and c = b + mean W. It changes
 * neither the classifier's values nor |W|, so an L2-regularised problem stays the same problem. But
 * the columns of z are uncorrelated: z U adds up without cancelling, which float32 needs where
 * features are ill-conditioned, and the curvature of the problem is nearly diagonal, which L-BFGS
 * needs. Nothing is scaled or whitened. All in float64 on the host, n p² operations twice, p³ once;
 * z is rounded to float32 at the end.
 */
export class Rotation {
  private constructor(
    /** Features p. */
    readonly features: number,
    /** Directions in which the features vary. */
    readonly rank: number,
    /** [p]. */
    readonly mean: Float64Array,
    /** [p, rank]. */
    private readonly axes: Float64Array,
    /** [rank]: standard deviation along each axis. */
    readonly deviations: Float64Array,
  ) {}

  /** Finds the axes of features x [n, p] and rotates them. */
  static of(x: Float32Array, p: number): { rotation: Rotation; rotated: RotatedFeatures } {
    const n = x.length / p
    const mean = columnMeans(x, p)
    const { eigenvectorMatrix } = new EigenvalueDecomposition(covariance(x, p, mean), {
      assumeSymmetric: true,
    })
    const all = new Float64Array(p * p)
    for (let i = 0; i < p; i++)
      for (let j = 0; j < p; j++) all[i * p + j] = eigenvectorMatrix.get(i, p - 1 - j)
    const z = rotate(x, p, mean, all, p)
    const deviations = new Float64Array(p)
    for (let i = 0; i < z.length; i++) deviations[i % p]! += z[i]! ** 2
    for (let j = 0; j < p; j++) deviations[j] = Math.sqrt(deviations[j]! / n)
    const widest = deviations.reduce((a, b) => Math.max(a, b), 0)
    const kept = [...deviations.keys()].filter((j) => deviations[j]! > NEGLIGIBLE * widest)
    const rank = kept.length
    const axes = new Float64Array(p * rank)
    for (let i = 0; i < p; i++)
      for (const [j, column] of kept.entries()) axes[i * rank + j] = all[i * p + column]!
    const rotation = new Rotation(
      p,
      rank,
      mean,
      axes,
      Float64Array.from(kept, (j) => deviations[j]!),
    )
    const width = 4 * Math.ceil((rank + 1) / 4)
    const values = new Float32Array(n * width)
    for (let i = 0; i < n; i++) {
      for (const [j, column] of kept.entries()) values[i * width + j] = z[i * p + column]!
      values[i * width + rank] = 1
    }
    return { rotation, rotated: { values, n, width } }
  }

  /**
   * The classifier on the features themselves.
   *
   * @param parameters [rank + 1, K]: U and, last, c
   * @returns weight W [p, K] and bias b [K]
   */
  unrotate(parameters: Float64Array): { weight: Float64Array; bias: Float64Array } {
    const { features: p, rank, axes, mean } = this
    const classes = parameters.length / (rank + 1)
    const weight = new Float64Array(p * classes)
    const bias = parameters.slice(rank * classes)
    for (let i = 0; i < p; i++) {
      const row = weight.subarray(i * classes, (i + 1) * classes)
      addCombination(row, axes.subarray(i * rank, (i + 1) * rank), parameters, classes)
      for (let k = 0; k < classes; k++) bias[k]! -= mean[i]! * row[k]!
    }
    return { weight, bias }
  }

  /**
   * Norm of the gradient for W and b, given that for U and c.
   *
   * dL/dW = V dL/dU + mean dL/dc, dL/db = dL/dc.
   */
  gradientNorm(gradient: Float64Array): number {
    const { features: p, rank, axes, mean } = this
    const classes = gradient.length / (rank + 1)
    const forBias = gradient.subarray(rank * classes)
    let sum = forBias.reduce((total, g) => total + g * g, 0)
    const row = new Float64Array(classes)
    for (let i = 0; i < p; i++) {
      row.fill(0)
      addCombination(row, axes.subarray(i * rank, (i + 1) * rank), gradient, classes)
      for (let k = 0; k < classes; k++) sum += (row[k]! + mean[i]! * forBias[k]!) ** 2
    }
    return Math.sqrt(sum)
  }
}

function columnMeans(x: Float32Array, p: number): Float64Array {
  const mean = new Float64Array(p)
  for (let i = 0; i < x.length; i += p) for (let j = 0; j < p; j++) mean[j]! += x[i + j]!
  return mean.map((sum) => sum / (x.length / p))
}

/** (x - mean)ᵀ (x - mean) [p, p]. */
function covariance(x: Float32Array, p: number, mean: Float64Array): Matrix {
  const n = x.length / p
  const upper = new Float64Array(p * p)
  const block = new Float64Array(ROWS_TOGETHER * p)
  const coefficients = new Float64Array(ROWS_TOGETHER)
  for (let first = 0; first < n; first += ROWS_TOGETHER) {
    const rows = Math.min(ROWS_TOGETHER, n - first)
    block.fill(0)
    for (let r = 0; r < rows; r++)
      for (let j = 0; j < p; j++) block[r * p + j] = x[(first + r) * p + j]! - mean[j]!
    for (let i = 0; i < p; i++) {
      for (let r = 0; r < ROWS_TOGETHER; r++) coefficients[r] = block[r * p + i]!
      addCombination(upper.subarray(i * p, (i + 1) * p), coefficients, block, p, i)
    }
  }
  const matrix = new Matrix(p, p)
  for (let i = 0; i < p; i++)
    for (let j = i; j < p; j++) {
      matrix.set(i, j, upper[i * p + j]!)
      matrix.set(j, i, upper[i * p + j]!)
    }
  return matrix
}

/** (x - mean) axes, [n, columns]. */
function rotate(
  x: Float32Array,
  p: number,
  mean: Float64Array,
  axes: Float64Array,
  columns: number,
): Float32Array {
  const n = x.length / p
  const z = new Float32Array(n * columns)
  const row = new Float64Array(p)
  const rotated = new Float64Array(columns)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < p; j++) row[j] = x[i * p + j]! - mean[j]!
    rotated.fill(0)
    addCombination(rotated, row, axes, columns)
    z.set(rotated, i * columns)
  }
  return z
}
