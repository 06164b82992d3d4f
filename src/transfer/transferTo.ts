import {
  type BadImageError,
  type ImageDataset,
  type ImageSource,
  subset,
} from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ResNet } from '../nn/resnet.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import type { CompleteConfig } from '../train/config.ts'
import type { LabelledFeatures } from './labelledFeatures.ts'
import { type LinearProbe, linearProbe } from './linearProbe.ts'
import { type NearestNeighbours, nearestNeighbours } from './nearestNeighbours.ts'
import { penultimateFeatures } from './runFeatures.ts'
import { transferInput } from './transferInput.ts'

export const transferMethods = ['linear', 'knn'] as const

/** What a network's fixed features are worth on another data set. */
export interface TransferResult {
  /** Images learnt from and tested on. */
  readonly train: number
  readonly test: number
  readonly classes: number
  readonly linear?: {
    /** On the test images, 0..1: top-1 and the mean over the classes. */
    readonly accuracy: number
    readonly meanPerClass: number
    readonly lambda: number
    readonly atEdge: boolean
    readonly converged: boolean
    /** Norm of the gradient where the final fit ended. */
    readonly gradientNorm: number
  }
  readonly knn?: {
    readonly accuracy: number
    readonly meanPerClass: number
    readonly k: number
    readonly atEdge: boolean
  }
}

export interface TransferToOptions {
  readonly methods: readonly (typeof transferMethods)[number][]
  /** What lambda and k are chosen by. */
  readonly metric: 'top1' | 'per-class'
  /** Strengths to choose lambda from; default the paper's 45. */
  readonly lambdas?: readonly number[] | undefined
  /** At most so many images to learn from and to test on. */
  readonly train: number
  readonly test: number
  /** Shortest side of an image before its centre is taken, see `transferInput`. */
  readonly resize?: number | undefined
  readonly onImages?: (done: number, total: number) => void
  /** Told of each file that gives no image and is left out. */
  readonly onProblem?: ((problem: BadImageError) => void) | undefined
}

/**
 * Linear and nearest-neighbour transfer of a network to a data set, see `linearProbe` and
 * `nearestNeighbours`, by its penultimate features. Larger sets are cut to random subsets, the same
 * for every network. Validation images of the data set's own choose lambda and are learnt from then, as
 * the training images; without them a fifth of each class is held out.
 *
 * @throws Error when the data set has one split only, or as `linearProbe`
 */
export async function transferTo(
  gpu: Gpu,
  model: ResNet,
  config: CompleteConfig,
  dataset: ImageDataset,
  options: TransferToOptions,
): Promise<TransferResult> {
  const { methods, metric, lambdas, resize, onProblem, onImages = () => {} } = options
  const { name, validation } = dataset
  if (!dataset.test) throw new Error(`${name} has one split only, expected two`)
  const learnt = some(dataset.train, options.train)
  const tested = some(dataset.test, options.test)
  const total = learnt.count + (validation?.count ?? 0) + tested.count
  let before = 0
  const featuresOf = async (source: ImageSource, split: string) => {
    const input = transferInput(gpu, dataset, source, config, {
      resize,
      ...(onProblem ? { onProblem } : {}),
    })
    try {
      return await penultimateFeatures(gpu, model, input, `${split} of ${name}`, (done) =>
        onImages(before + done, total),
      )
    } finally {
      input.release()
      before += source.count
    }
  }
  const fitted = await featuresOf(learnt, 'train')
  const held = validation && (await featuresOf(validation, 'validation'))
  const train = held ? together(fitted, held) : fitted
  const test = await featuresOf(tested, 'test')
  const chosenBy = held ? { validation: rowsFrom(fitted.labels.length, train.labels.length) } : {}
  const found = {
    train: train.labels.length,
    test: test.labels.length,
    classes: dataset.classes,
  }
  const linear = methods.includes('linear')
    ? await linearProbe(gpu, train, test, { metric, ...chosenBy, ...(lambdas ? { lambdas } : {}) })
    : undefined
  const knn = methods.includes('knn')
    ? await nearestNeighbours(gpu, train, test, { accuracy: metric })
    : undefined
  return {
    ...found,
    ...(linear ? { linear: linearFigures(linear) } : {}),
    ...(knn ? { knn: neighbourFigures(knn) } : {}),
  }
}

function linearFigures({
  accuracy,
  meanPerClass,
  lambda,
  atEdge,
  converged,
  gradientNorm,
}: LinearProbe) {
  return { accuracy, meanPerClass, lambda, atEdge, converged, gradientNorm }
}

function neighbourFigures({ accuracy, meanPerClass, k, atEdge }: NearestNeighbours) {
  return { accuracy, meanPerClass, k, atEdge }
}

/** At most `most` of the images, in their order. */
function some(source: ImageSource, most: number): ImageSource {
  if (source.count <= most) return source
  const order = new RandomStream(0, streams.split).permutation(source.count)
  return subset(source, order.subarray(0, most).sort())
}

/** The rows of one set, then those of another. */
function together(a: LabelledFeatures, b: LabelledFeatures): LabelledFeatures {
  const features = new Float32Array(a.features.length + b.features.length)
  features.set(a.features)
  features.set(b.features, a.features.length)
  return { ...a, features, labels: Uint32Array.from([...a.labels, ...b.labels]) }
}

function rowsFrom(first: number, end: number): Uint32Array {
  return Uint32Array.from({ length: end - first }, (_, i) => first + i)
}
