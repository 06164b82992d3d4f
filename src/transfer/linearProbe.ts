import type { Gpu } from '../gpu/gpu.ts'
import { type Accuracy, accuracyOf } from './accuracy.ts'
import { addCombination } from './combination.ts'
import { checkPair, type LabelledFeatures, presentClasses } from './labelledFeatures.ts'
import { fitLogistic, type LogisticFit, type LogisticFitOptions } from './logisticRegression.ts'
import { Rotation } from './rotation.ts'
import { largest, SoftmaxProblem } from './softmaxProblem.ts'
import { heldOut, validationSplit } from './validationSplit.ts'

/** The paper's 45 strengths: 10^-6 to 10^5, four to a factor of ten. */
const paperLambdas: readonly number[] = Array.from({ length: 45 }, (_, i) => 10 ** (i / 4 - 6))

export interface LinearProbeOptions extends LogisticFitOptions {
  /** Strengths to choose from; default the paper's. */
  readonly lambdas?: readonly number[]
  /** Share of each training class, or the training rows, that lambda is chosen by. Default 0.2. */
  readonly validation?: number | Uint32Array
  /** Draws the validation rows. Default 0. */
  readonly seed?: number
  /** What lambda is chosen by. Default top-1. */
  readonly metric?: 'top1' | 'per-class'
  readonly onFit?: (done: number, total: number) => void
}

/** What became of one lambda. */
export interface ProbePoint extends Omit<LogisticFit, 'parameters'> {
  /** On the validation rows, by the metric asked for. */
  readonly accuracy: number
}

export interface LinearProbe extends Accuracy {
  readonly lambda: number
  /** Whether the final fit and every fit before the choice converged. */
  readonly converged: boolean
  /** Of the final fit: norm of the gradient of `objective`. */
  readonly gradientNorm: number
  readonly objective: number
  /** Whether lambda is the smallest or the largest tried: a better one may lie beyond. */
  readonly atEdge: boolean
  /** By rising lambda. */
  readonly path: readonly ProbePoint[]
  /** [n]: the class predicted of each test example. */
  readonly predictions: Uint32Array
  /** The classifier: x [p] has logits x weight + bias for the classes in `classes`. */
  readonly weight: Float64Array
  readonly bias: Float64Array
  /** Classes with training examples, in order; others are never predicted. */
  readonly classes: readonly number[]
}

/**
 * Linear transfer (Kornblith et al. 2021, appendix A.2): multinomial logistic regression on fixed
 * features, its L2 regularisation chosen on validation rows held out of the training set, then
 * fitted once more to all training rows and tested.
 *
 * The fits run from strong to weak regularisation, each from where the two before it point to. The paper
 * goes the other way; the problem is convex, so that the solutions are the same, and this way each is a
 * small step from the last. Of equally accurate lambdas the largest is taken. Features are taken as they are: neither
 * standardised nor whitened (see `Rotation` for the coordinates in which the fit is computed).
 *
 * @throws Error on features that do not fit or are not finite, fewer than two classes, or options out of
 *   range
 */
export async function linearProbe(
  gpu: Gpu,
  train: LabelledFeatures,
  test: LabelledFeatures,
  options: LinearProbeOptions = {},
): Promise<LinearProbe> {
  const { validation = 0.2, seed = 0, metric = 'top1', onFit = () => {} } = options
  checkPair(train, test)
  const lambdas = checkedLambdas(options.lambdas ?? paperLambdas)
  const classes = presentClasses(train)
  const numberOf = new Map(classes.map((label, i) => [label, i]))
  const labels = train.labels.map((label) => numberOf.get(label)!)
  const split =
    typeof validation === 'number'
      ? validationSplit(train.name, train.labels, validation, seed)
      : heldOut(train.labels.length, validation)
  const { rotation, rotated } = Rotation.of(train.features, train.width)
  const problemOf = (rows: Uint32Array) =>
    SoftmaxProblem.make(gpu, rotated, rotation.rank + 1, rows, labels, classes.length)
  const path: ProbePoint[] = []
  let start: Float64Array = new Float64Array((rotation.rank + 1) * classes.length)
  let chosen = { accuracy: -1, lambda: 0, parameters: start }
  const fitted = await problemOf(split.fit)
  const held = await problemOf(split.validation)
  const heldLabels = split.validation.map((row) => labels[row]!)
  let before: Solution | undefined
  for (const [i, lambda] of lambdas.entries()) {
    const { parameters, ...fit } = await fitLogistic(fitted, rotation, lambda, start, options)
    const found = accuracyOf(await held.predict(parameters), heldLabels, classes.length)
    const accuracy = metric === 'top1' ? found.accuracy : found.meanPerClass
    path.unshift({ ...fit, accuracy })
    if (accuracy > chosen.accuracy) chosen = { accuracy, lambda, parameters }
    const at = { lambda, parameters }
    start = extrapolated(before, at, lambdas[i + 1])
    before = at
    onFit(i + 1, lambdas.length + 1)
  }
  fitted.release()
  held.release()
  const all = await problemOf(Uint32Array.from(labels.keys()))
  const { lambda } = chosen
  const final = await fitLogistic(all, rotation, lambda, chosen.parameters, options)
  all.release()
  onFit(lambdas.length + 1, lambdas.length + 1)
  const { weight, bias } = rotation.unrotate(final.parameters)
  const predictions = classify(test, weight, bias).map((i) => classes[i]!)
  return {
    ...accuracyOf(predictions, test.labels, 1 + maximum(train.labels, test.labels)),
    lambda,
    converged: final.converged && path.every(({ converged }) => converged),
    gradientNorm: final.gradientNorm,
    objective: final.objective,
    atEdge: lambdas.length > 1 && (lambda === lambdas[0] || lambda === lambdas.at(-1)),
    path,
    predictions,
    weight,
    bias,
    classes,
  }
}

interface Solution {
  readonly lambda: number
  readonly parameters: Float64Array
}

/** Where a line through two solutions, over the logarithm of lambda, meets another lambda. */
function extrapolated(
  before: Solution | undefined,
  at: Solution,
  lambda = at.lambda,
): Float64Array {
  if (!before) return at.parameters
  const factor = Math.log(lambda / at.lambda) / Math.log(at.lambda / before.lambda)
  return at.parameters.map((value, i) => value + factor * (value - before.parameters[i]!))
}

/** Lambdas by falling size. */
function checkedLambdas(lambdas: readonly number[]): number[] {
  const bad = lambdas.find((lambda) => !(lambda > 0 && Number.isFinite(lambda)))
  if (bad !== undefined || lambdas.length === 0)
    throw new Error(`lambdas hold ${bad ?? 'nothing'}, expected numbers above 0`)
  return [...new Set(lambdas)].sort((a, b) => b - a)
}

/** Argmax of x weight + bias in float64, of each row; the first of equals. */
function classify(
  { features, width, labels }: LabelledFeatures,
  weight: Float64Array,
  bias: Float64Array,
): Uint32Array {
  const logits = new Float64Array(bias.length)
  return labels.map((_, i) => {
    logits.set(bias)
    const row = Float64Array.from(features.subarray(i * width, (i + 1) * width))
    addCombination(logits, row, weight, bias.length)
    return largest(logits)
  })
}

function maximum(...arrays: Uint32Array[]): number {
  return arrays.reduce((most, array) => array.reduce((a, b) => Math.max(a, b), most), 0)
}
