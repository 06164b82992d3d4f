/** A function's value and gradient at a point. */
export interface Evaluation {
  readonly value: number
  readonly gradient: Float64Array
}

export interface LbfgsOptions {
  /** Computes the function; may run on a device. The gradient must be a new array each time. */
  readonly evaluate: (x: Float64Array) => Promise<Evaluation>
  /**
   * Ends the search.
   *
   * @param decrease by how much the function would fall along the next direction, were it quadratic
   */
  readonly isConverged: (at: Evaluation, decrease: number) => boolean
  /** Diagonal of an approximate inverse Hessian, all above 0; default 1. */
  readonly scale?: Float64Array
  /** Pairs of steps and gradient changes that are kept. Default 10. */
  readonly memory?: number
  readonly maxIterations: number
  /**
   * Called at every point before a step with the iterations done; returns whether the function became
   * more precise there, so that it is computed anew.
   */
  readonly refine?: (x: Float64Array, iterations: number) => boolean
  /** Relative error of the values: what a step may raise them by and still be accepted. */
  readonly noise?: number
}

export interface LbfgsResult extends Evaluation {
  readonly x: Float64Array
  readonly iterations: number
  readonly evaluations: number
  /**
   * Why it ended: `isConverged` held; `maxIterations` were done; or no step along the search
   * direction was better, within the precision of the function.
   */
  readonly end: 'converged' | 'iterations' | 'precision'
}

/** Sufficient decrease and curvature of the (weak) Wolfe conditions. */
const DECREASE = 1e-4
const CURVATURE = 0.9
/** Of the approximate Wolfe condition on slopes alone. */
const APPROXIMATE = 0.1
const MOST_TRIALS = 30
const LONGEST_STRETCH = 10

interface Pair {
  readonly step: Float64Array
  readonly change: Float64Array
  readonly curvature: number
}

/**
 * Minimises a smooth function by L-BFGS (Nocedal 1980; Nocedal and Wright 2006, algorithms 7.4 and
 * 7.5), with vectors in float64 on the host.
 *
 * The line search brackets the minimum along the direction and takes the first point with the weak
 * Wolfe conditions, or, where values differ by no more than `noise`, with the approximate ones, which
 * look at slopes alone (Hager and Zhang 2005, eq. 4.1): a function computed in float32 is still
 * minimised to the precision of its gradient. A point whose value is not finite counts as too far.
 *
 * @param start [n], not changed
 * @throws Error when the function is not finite at the start
 */
export async function lbfgs(start: Float64Array, options: LbfgsOptions): Promise<LbfgsResult> {
  const { evaluate, isConverged, maxIterations, memory = 10, noise = 0 } = options
  const pairs: Pair[] = []
  let x: Float64Array = start.slice()
  let at = await evaluate(x)
  if (!hasFiniteValues(at)) throw new Error(`L-BFGS: the function is ${at.value} at its start`)
  let evaluations = 1
  for (let iterations = 0; ; iterations++) {
    const finish = (end: LbfgsResult['end']) => ({ ...at, x, iterations, evaluations, end })
    if (options.refine?.(x, iterations)) {
      evaluations++
      at = await evaluate(x)
    }
    const direction = newDirection(at.gradient, pairs, options.scale)
    const slope = dot(at.gradient, direction)
    if (isConverged(at, -slope / 2)) return finish('converged')
    if (iterations === maxIterations) return finish('iterations')
    const search = new LineSearch(at, slope, noise)
    const found = await search.run(async (length) => {
      evaluations++
      const point = x.map((value, i) => value + length * direction[i]!)
      const trial = await evaluate(point)
      return { ...trial, x: point, slope: dot(trial.gradient, direction) }
    })
    if (!found) {
      if (pairs.length === 0) return finish('precision')
      // The curvature that was learnt may be noise: once more from the gradient alone.
      pairs.length = 0
      continue
    }
    const step = found.x.map((value, i) => value - x[i]!)
    const change = found.gradient.map((value, i) => value - at.gradient[i]!)
    const curvature = dot(step, change)
    if (curvature > 0) {
      pairs.push({ step, change, curvature })
      if (pairs.length > memory) pairs.shift()
    }
    x = found.x
    at = { value: found.value, gradient: found.gradient }
  }
}

/** The two-loop recursion: minus the approximate inverse Hessian times the gradient. */
function newDirection(
  gradient: Float64Array,
  pairs: readonly Pair[],
  scale: Float64Array | undefined,
): Float64Array {
  const q = gradient.map((value) => -value)
  const factors: number[] = []
  for (let i = pairs.length - 1; i >= 0; i--) {
    const { step, change, curvature } = pairs[i]!
    factors[i] = dot(step, q) / curvature
    addScaled(q, -factors[i]!, change)
  }
  if (scale) for (let i = 0; i < q.length; i++) q[i]! *= scale[i]!
  const last = pairs.at(-1)
  if (last) {
    const { change, curvature } = last
    const gamma = curvature / dot(change, scale ? change.map((v, i) => v * scale[i]!) : change)
    for (let i = 0; i < q.length; i++) q[i]! *= gamma
  }
  for (const [i, { step, change, curvature }] of pairs.entries())
    addScaled(q, factors[i]! - dot(change, q) / curvature, step)
  return q
}

interface Trial extends Evaluation {
  readonly x: Float64Array
  /** Derivative along the direction. */
  readonly slope: number
}

interface End {
  readonly length: number
  readonly value: number
  readonly slope: number
}

class LineSearch {
  constructor(
    private readonly start: Evaluation,
    private readonly slope: number,
    private readonly noise: number,
  ) {}

  async run(trialAt: (length: number) => Promise<Trial>): Promise<Trial | undefined> {
    if (!(this.slope < 0)) return undefined
    let low: End = { length: 0, value: this.start.value, slope: this.slope }
    let high: End | undefined
    let length = 1
    for (let trials = 0; trials < MOST_TRIALS; trials++) {
      const trial = await trialAt(length)
      const end = { length, value: trial.value, slope: trial.slope }
      if (!hasFiniteValues(trial)) high = { ...end, value: Number.POSITIVE_INFINITY }
      else if (this.#accepts(end)) return trial
      else if (trial.slope >= 0 || this.#isTooHigh(end)) high = end
      else low = end
      length = high ? between(low, high) : beyond(low, this.slope)
    }
    return undefined
  }

  #accepts({ length, value, slope }: End): boolean {
    if (slope < CURVATURE * this.slope) return false
    if (value <= this.start.value + DECREASE * length * this.slope) return true
    return (
      value <= this.start.value + this.noise * Math.abs(this.start.value) &&
      slope <= (2 * APPROXIMATE - 1) * this.slope
    )
  }

  #isTooHigh({ length, value }: End): boolean {
    const allowed = this.noise * Math.abs(this.start.value)
    return value > this.start.value + DECREASE * length * this.slope + allowed
  }
}

/** Where the slope, taken as linear, is 0 inside a bracket, a tenth off its ends. */
function between(low: End, high: End): number {
  const width = high.length - low.length
  const linear =
    Number.isFinite(high.value) && high.slope > low.slope
      ? -low.slope / (high.slope - low.slope)
      : 0.5
  return low.length + width * Math.min(0.9, Math.max(0.1, linear))
}

/** A longer step, while the function still falls steeply. */
function beyond({ length, slope }: End, startSlope: number): number {
  const linear = startSlope < slope ? startSlope / (startSlope - slope) : LONGEST_STRETCH
  return length * Math.min(LONGEST_STRETCH, Math.max(2, linear))
}

function hasFiniteValues({ value, gradient }: Evaluation): boolean {
  return Number.isFinite(value) && gradient.every(Number.isFinite)
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function addScaled(target: Float64Array, factor: number, x: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i]! += factor * x[i]!
}
