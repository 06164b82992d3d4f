import type { EvaluationCrop } from '../data/augment/evaluationPlan.ts'
import { drawMixing } from '../data/augment/mixup.ts'
import type { Resampling } from '../data/augment/resampling.ts'
import type { TrainingAugmentation } from '../data/augment/trainingPlans.ts'
import { evaluationBatches } from '../data/batches.ts'
import type { OnBadImage } from '../data/batchLoader.ts'
import { type ReadyBatch as DecodedBatch, ImageInput as DecodedImages } from '../data/imageInput.ts'
import type { BadImageError, ImageDataset, ImageSource } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { CompleteConfig } from './config.ts'
import type { BatchRequest, ImageInput, ReadyBatch } from './input.ts'

export interface DecodedInputOptions {
  /** Rows and columns of the network's input; default: the images' own, at least 32, or 224. */
  readonly imageSize?: number
  /** Of u8 images, pixels in [0, 1]; default: the data set's own. */
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  /** Of training images. */
  readonly augmentation?: TrainingAugmentation
  readonly resampling?: Resampling
  /** How evaluated images of any size are cropped. Default torchvision. */
  readonly evalCrop?: EvaluationCrop['style']
  /** Shortest side of an evaluated image before the centre is taken; default 8/7 of the input's. */
  readonly resize?: number
  /** Mixup's alpha, 0 for none. */
  readonly mixup?: number
  readonly seed?: number
  /**
   * `skip` (default): another example stands in for a bad file in training, and an evaluation is
   * without it. `refuse`: it ends the run.
   */
  readonly onBadImage?: 'skip' | 'refuse'
  /** Told of each file that is skipped. */
  readonly onProblem?: (problem: BadImageError) => void
}

/** The images of a source as a run's configuration has them. */
export function imageInput(
  gpu: Gpu,
  dataset: ImageDataset,
  source: ImageSource,
  config: CompleteConfig,
  onProblem: DecodedInputOptions['onProblem'],
): DecodedInput {
  const { imageSize, mean, std, augment, autoAugment, mixup, seed } = config
  const { filter, antialias, points, evalCrop, onBadImage } = config
  return new DecodedInput(gpu, dataset, source, {
    ...(imageSize === undefined ? {} : { imageSize }),
    ...(mean ? { mean } : {}),
    ...(std ? { std } : {}),
    ...(onProblem ? { onProblem } : {}),
    augmentation: { crop: augment, autoAugment },
    resampling: { filter, antialias, points },
    evalCrop,
    mixup,
    seed,
    onBadImage,
  })
}

/**
 * Images of any source: u8 ones are decoded ahead, cropped, resized, augmented, normalised and mixed
 * on the device; f32 ones are taken as they are.
 */
export class DecodedInput implements ImageInput {
  readonly shape: readonly [number, number, number]
  readonly count: number
  readonly #training: DecodedImages
  readonly #evaluation: DecodedImages

  /** @throws RangeError naming an option out of range or statistics that do not fit */
  constructor(
    gpu: Gpu,
    private readonly dataset: Pick<ImageDataset, 'size' | 'statistics' | 'name'>,
    source: ImageSource,
    private readonly options: DecodedInputOptions,
  ) {
    const { statistics, name } = dataset
    const { imageSize, augmentation, mean, std, resampling, onProblem, mixup = 0 } = options
    const { crop = 'none', autoAugment = false } = augmentation ?? {}
    if (imageSize !== undefined && (!Number.isInteger(imageSize) || imageSize < 1))
      throw new RangeError(`imageSize is ${imageSize}, expected an integer from 1`)
    for (const [asked, is] of Object.entries({
      imageSize: imageSize !== undefined,
      augmentation: crop !== 'none' || autoAugment || mixup > 0,
    }))
      if (!statistics && is)
        throw new RangeError(
          `${asked} is given with ${name}, whose images are f32: these are taken as they are`,
        )
    const images = (otherwise: OnBadImage) =>
      new DecodedImages(gpu, dataset, source, {
        onBadImage: options.onBadImage === 'refuse' ? 'fail' : otherwise,
        ...(imageSize === undefined ? {} : { height: imageSize, width: imageSize }),
        // A run's own statistics mean nothing to images that are taken as they are.
        ...(statistics && mean ? { mean } : {}),
        ...(statistics && std ? { std } : {}),
        ...(resampling ? { resampling } : {}),
        ...(onProblem && options.onBadImage !== 'refuse' ? { onProblem } : {}),
      })
    this.#training = images('replace')
    this.#evaluation = images('drop')
    this.shape = this.#training.shape
    this.count = source.count
  }

  async *trainingBatches(requests: Iterable<BatchRequest>): AsyncGenerator<ReadyBatch> {
    const { mixup = 0, seed = 0, augmentation = { crop: 'none' } } = this.options
    const draws: number[] = []
    const asked = function* () {
      for (const request of requests) {
        draws.push(request.draw)
        yield request
      }
    }
    for await (const batch of this.#training.training(asked(), seed, augmentation)) {
      const draw = draws.shift()!
      const mixing = mixup > 0 ? drawMixing(mixup, batch.labels.length, seed, draw) : undefined
      yield { ...ready(batch, mixing), ...(mixing ? { mixing } : {}) }
    }
  }

  async *evaluationBatches(batchSize: number): AsyncGenerator<ReadyBatch> {
    const { dataset, options } = this
    const { imageSize, evalCrop = 'torchvision', resize } = options
    const isCentred = dataset.size !== undefined && imageSize === undefined && resize === undefined
    const crop = isCentred
      ? 'centre'
      : { style: evalCrop, ...(resize === undefined ? {} : { resize }) }
    const batches = evaluationBatches(this.count, batchSize)
    for await (const batch of this.#evaluation.evaluation(batches, crop)) yield ready(batch)
  }

  /** Gives the device's memory back. */
  release(): void {
    this.#training.release()
    this.#evaluation.release()
  }
}

function ready(
  { labels, fill }: DecodedBatch,
  mixing?: ReadyBatch['mixing'],
): Pick<ReadyBatch, 'labels' | 'write'> {
  return { labels, write: (images) => fill(images, mixing) }
}
