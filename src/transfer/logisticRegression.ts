import { type LbfgsResult, lbfgs } from '../optim/lbfgs.ts'
import type { Rotation } from './rotation.ts'
import type { SoftmaxProblem } from './softmaxProblem.ts'

/** A fit of multinomial logistic regression at one strength of regularisation. */
export interface LogisticFit {
  readonly lambda: number
  /** Sum of the examples' cross-entropies + lambda / 2 |W|². */
  readonly objective: number
  /** Euclidean norm of the objective's gradient for W and b. */
  readonly gradientNorm: number
  /** Whether `tolerance` was reached. */
  readonly converged: boolean
  readonly iterations: number
  /** [rank + 1, K]: the solution in the rotation's coordinates. */
  readonly parameters: Float64Array
}

export interface LogisticFitOptions {
  /** Estimated relative distance of the objective from its minimum that is small enough. */
  readonly tolerance?: number
  readonly maxIterations?: number
}

const TOLERANCE = 1e-7
const MAX_ITERATIONS = 5000
/** Pairs that L-BFGS keeps. */
const MEMORY = 20
/** Iterations between two computations of logits in float64. */
const REBASE_EVERY = 25
/** Relative rounding error of a sum of float32 losses. */
const NOISE = 1e-7

/**
 * Minimises sum over n of CE(x_n W + b, label_n) + lambda / 2 |W|² by L-BFGS: scikit-learn's
 * objective with C = 1 / lambda, its intercept not regularised either.
 *
 * Parameters and the vectors of L-BFGS are on the host in float64: they are small beside the
 * features, and near the minimum a difference of two objectives or of two gradients is below float32's
 * resolution of either. Its initial Hessian is the diagonal c n s_j² + lambda, with s_j the
 * features' deviation along axis j and c the mean curvature p (1 - p), taken from the mean loss.
 *
 * Converged means that a step by that Hessian, and one by L-BFGS's own, would lower the objective by
 * less than `tolerance` of its value. A search that ends before, after `maxIterations` or at the end of float32's precision,
 * is reported as not converged.
 *
 * @param start parameters to start from, for instance the fit at a neighbouring lambda
 */
export async function fitLogistic(
  problem: SoftmaxProblem,
  rotation: Rotation,
  lambda: number,
  start: Float64Array,
  { tolerance = TOLERANCE, maxIterations = MAX_ITERATIONS }: LogisticFitOptions = {},
): Promise<LogisticFit> {
  const { classes, n } = problem
  const weights = rotation.rank * classes
  const evaluate = async (x: Float64Array) => {
    const { value, gradient } = await problem.evaluate(x)
    let squares = 0
    for (let i = 0; i < weights; i++) {
      squares += x[i]! ** 2
      gradient[i]! += lambda * x[i]!
    }
    return { value: value + (lambda / 2) * squares, gradient }
  }
  problem.rebase(start)
  const { value } = await problem.evaluate(start)
  const curvature = Math.min(value / n, 1 - 1 / classes) / classes
  const scale = Float64Array.from(start, (_, i) => {
    const deviation = rotation.deviations[Math.floor(i / classes)]
    return deviation === undefined
      ? 1 / (curvature * n)
      : 1 / (curvature * n * deviation ** 2 + lambda)
  })
  const found: LbfgsResult = await lbfgs(start, {
    evaluate,
    isConverged: (at, decrease) =>
      Math.max(decrease, decrement(at.gradient, scale)) <= tolerance * at.value,
    scale,
    memory: MEMORY,
    refine(x, iterations) {
      if (iterations === 0 || iterations % REBASE_EVERY !== 0) return false
      problem.rebase(x)
      return true
    },
    maxIterations,
    noise: NOISE,
  })
  return {
    lambda,
    objective: found.value,
    gradientNorm: rotation.gradientNorm(found.gradient),
    converged: found.end === 'converged',
    iterations: found.iterations,
    parameters: found.x,
  }
}

/** What a step by a diagonal Hessian would lower a function by. */
function decrement(gradient: Float64Array, scale: Float64Array): number {
  let sum = 0
  for (let i = 0; i < gradient.length; i++) sum += gradient[i]! ** 2 * scale[i]!
  return sum / 2
}
