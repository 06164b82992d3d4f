import type { Gpu } from '../gpu/gpu.ts'
import { type Accuracy, accuracyOf } from './accuracy.ts'
import { checkPair, type LabelledFeatures, presentClasses } from './labelledFeatures.ts'
import { distanceSpaces, type Metric } from './metric.ts'
import { findNeighbours } from './neighbours.ts'
import { largest } from './softmaxProblem.ts'

export interface NearestNeighboursOptions {
  /** Default cosine. */
  readonly metric?: Metric
  /** Numbers of neighbours from 1 to this are tried; default 50, at most the examples less one. */
  readonly mostNeighbours?: number
  /** What k is chosen by. Default top-1. */
  readonly accuracy?: 'top1' | 'per-class'
  readonly onQueries?: (done: number, total: number) => void
}

export interface NearestNeighbours extends Accuracy {
  readonly metric: Metric
  readonly k: number
  /** Leave-one-out accuracy on the training examples of each k from 1 on. */
  readonly leaveOneOut: readonly number[]
  /** Whether k is the largest tried: a better one may lie beyond. */
  readonly atEdge: boolean
  /** [n]: the class predicted of each test example. */
  readonly predictions: Uint32Array
}

const MOST_NEIGHBOURS = 50

/**
 * Transfer by k nearest neighbours (Kornblith et al. 2021, Table 1), k chosen by leave-one-out on the
 * training examples.
 *
 * An example is left out of its own neighbours by index, so a duplicate of it counts as any other. Of
 * equally near neighbours the one with the lower index comes first; the class with most votes wins, of
 * equal ones the lowest, as in scikit-learn; of equally accurate k the smallest is taken.
 *
 * @throws Error on features that do not fit or are not finite, fewer than two classes or examples, or
 *   options out of range
 */
export async function nearestNeighbours(
  gpu: Gpu,
  train: LabelledFeatures,
  test: LabelledFeatures,
  options: NearestNeighboursOptions = {},
): Promise<NearestNeighbours> {
  const { metric = 'cosine', accuracy = 'top1', onQueries = () => {} } = options
  const { mostNeighbours = MOST_NEIGHBOURS } = options
  checkPair(train, test)
  presentClasses(train)
  if (!Number.isInteger(mostNeighbours) || mostNeighbours < 1)
    throw new Error(`mostNeighbours is ${mostNeighbours}, expected an integer of at least 1`)
  const trainExamples = train.labels.length
  const total = trainExamples + test.labels.length
  const most = Math.min(mostNeighbours, trainExamples - 1)
  const classes = 1 + [...train.labels, ...test.labels].reduce((a, b) => Math.max(a, b), 0)
  const spaces = distanceSpaces(metric, train, test)
  // Left out of its own neighbours, a training example stands on the queries' side too.
  const own = distanceSpaces(metric, train, train)
  const among = await findNeighbours(gpu, own.queries, own.references, most, true, (done) =>
    onQueries(done, total),
  )
  const leaveOneOut = Array.from({ length: most }, (_, i) => {
    const found = accuracyOf(vote(among, train.labels, i + 1, classes), train.labels, classes)
    return accuracy === 'top1' ? found.accuracy : found.meanPerClass
  })
  const k = 1 + largest(leaveOneOut)
  const near = await findNeighbours(gpu, spaces.queries, spaces.references, k, false, (done) =>
    onQueries(trainExamples + done, total),
  )
  const predictions = vote(near, train.labels, k, classes)
  return {
    ...accuracyOf(predictions, test.labels, classes),
    metric,
    k,
    leaveOneOut,
    atEdge: k === most && most < trainExamples - 1,
    predictions,
  }
}

/** The class of most of each query's k nearest neighbours. */
function vote(
  { indices, count }: Awaited<ReturnType<typeof findNeighbours>>,
  labels: Uint32Array,
  k: number,
  classes: number,
): Uint32Array {
  const votes = new Uint32Array(classes)
  return Uint32Array.from({ length: indices.length / count }, (_, q) => {
    votes.fill(0)
    for (const index of indices.subarray(q * count, q * count + k)) votes[labels[index]!]!++
    return largest(votes)
  })
}
