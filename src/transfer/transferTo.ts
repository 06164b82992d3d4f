import { type ImageDataset, type ImageSource, subset } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ResNet } from '../nn/resnet.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import type { CompleteConfig } from '../train/config.ts'
import { DecodedInput } from '../train/decodedInput.ts'
import type { LabelledFeatures } from './labelledFeatures.ts'
import { type LinearProbe, linearProbe } from './linearProbe.ts'
import { type NearestNeighbours, nearestNeighbours } from './nearestNeighbours.ts'
import { penultimateFeatures } from './runFeatures.ts'

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
  readonly onImages?: (done: number, total: number) => void
}

/**
 * Linear and nearest-neighbour transfer of a network to a data set, see `linearProbe` and
 * `nearestNeighbours`, by its penultimate features. Larger sets are cut to random subsets, the same
 * for every network.
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
  const { methods, metric, lambdas, onImages = () => {} } = options
  if (!dataset.test) throw new Error(`${dataset.name} has one split only, expected two`)
  const parts = [some(dataset.train, options.train), some(dataset.test, options.test)] as const
  const total = parts[0].count + parts[1].count
  const of = (part: ImageSource, split: string, before: number) =>
    featuresOf(gpu, model, config, dataset, part, split, (done) => onImages(before + done, total))
  const train = await of(parts[0], 'train', 0)
  const test = await of(parts[1], 'test', parts[0].count)
  const found = {
    train: train.labels.length,
    test: test.labels.length,
    classes: dataset.classes,
  }
  const linear = methods.includes('linear')
    ? await linearProbe(gpu, train, test, { metric, ...(lambdas ? { lambdas } : {}) })
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

async function featuresOf(
  gpu: Gpu,
  model: ResNet,
  { imageSize, mean, std, filter, antialias }: CompleteConfig,
  dataset: ImageDataset,
  source: ImageSource,
  split: string,
  onImages: (done: number) => void,
): Promise<LabelledFeatures> {
  const input = new DecodedInput(gpu, dataset, source, {
    ...(imageSize === undefined ? {} : { imageSize }),
    ...(mean ? { mean } : {}),
    ...(std ? { std } : {}),
    resampling: { filter, antialias },
  })
  try {
    return await penultimateFeatures(gpu, model, input, `${split} of ${dataset.name}`, onImages)
  } finally {
    input.release()
  }
}

/** At most `most` of the images, in their order. */
function some(source: ImageSource, most: number): ImageSource {
  if (source.count <= most) return source
  const order = new RandomStream(0, streams.split).permutation(source.count)
  return subset(source, order.subarray(0, most).sort())
}
