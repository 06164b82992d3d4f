import { Augmenter } from '../data/augment/augmenter.ts'
import type { Size } from '../data/augment/box.ts'
import { centredPlan, evaluationPlan } from '../data/augment/evaluationPlan.ts'
import type { ImagePlan } from '../data/augment/imagePlan.ts'
import { drawMixing } from '../data/augment/mixup.ts'
import type { Resampling } from '../data/augment/resampling.ts'
import { type TrainingAugmentation, TrainingPlans } from '../data/augment/trainingPlans.ts'
import { evaluationBatches } from '../data/batches.ts'
import { BatchLoader, type LoadedBatch } from '../data/batchLoader.ts'
import type { BadImageError, ImageDataset, ImageSource, LoadedImage } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
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
  /** Mixup's alpha, 0 for none. */
  readonly mixup?: number
  readonly seed?: number
  /** Told of each file that gives no image; in training another stands in for it. */
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
  const { imageSize, mean, std, augment, autoAugment, filter, antialias, mixup, seed } = config
  return new DecodedInput(gpu, dataset, source, {
    ...(imageSize === undefined ? {} : { imageSize }),
    ...(mean ? { mean } : {}),
    ...(std ? { std } : {}),
    ...(onProblem ? { onProblem } : {}),
    augmentation: { crop: augment, autoAugment },
    resampling: { filter, antialias },
    mixup,
    seed,
  })
}

const SIDE = 224
const LEAST_SIDE = 32

/**
 * Images of any source: u8 ones are decoded ahead, cropped, resized, augmented, normalised and mixed
 * on the device; f32 ones are taken as they are.
 */
export class DecodedInput implements ImageInput {
  readonly shape: readonly [number, number, number]
  readonly count: number
  readonly #size: Size
  readonly #plans: TrainingPlans
  #augmenter: Augmenter | undefined

  /** @throws RangeError naming an option out of range or statistics that do not fit */
  constructor(
    private readonly gpu: Gpu,
    private readonly dataset: Pick<ImageDataset, 'size' | 'statistics' | 'name'>,
    private readonly source: ImageSource,
    private readonly options: DecodedInputOptions,
  ) {
    const { size, statistics, name } = dataset
    const { imageSize, seed = 0, augmentation } = options
    if (imageSize !== undefined && (!Number.isInteger(imageSize) || imageSize < 1))
      throw new RangeError(`imageSize is ${imageSize}, expected an integer from 1`)
    if (!statistics && imageSize !== undefined)
      throw new RangeError(
        `imageSize is given with ${name}, whose images are f32: these are taken as they are`,
      )
    const { crop = 'none', autoAugment = false } = augmentation ?? {}
    if (!statistics && (crop !== 'none' || autoAugment || (options.mixup ?? 0) > 0))
      throw new RangeError(
        `augmentation is asked for with ${name}, whose images are f32: these are taken as they are`,
      )
    const own = (side: number) => (statistics ? Math.max(LEAST_SIDE, side) : side)
    this.#size = {
      height: imageSize ?? (size ? own(size.height) : SIDE),
      width: imageSize ?? (size ? own(size.width) : SIDE),
    }
    this.shape = [this.#size.height, this.#size.width, 3]
    this.count = source.count
    this.#plans = new TrainingPlans(this.#size, seed, augmentation ?? { crop: 'none' })
  }

  async *trainingBatches(requests: Iterable<BatchRequest>): AsyncGenerator<ReadyBatch> {
    const { source, options } = this
    const { onProblem = () => {}, mixup = 0, seed = 0 } = options
    const loader = new BatchLoader(source, { onBadImage: 'replace', onProblem })
    const asked: BatchRequest[] = []
    const examples = function* () {
      for (const request of requests) {
        asked.push(request)
        yield request.examples
      }
    }
    for await (const batch of loader.load(examples())) {
      const { epoch, draw } = asked.shift()!
      const plan = (image: LoadedImage, i: number) =>
        this.#plans.plan(image, batch.indexes[i]!, epoch)
      const mixing = mixup > 0 ? drawMixing(mixup, batch.labels.length, seed, draw) : undefined
      yield {
        labels: batch.labels,
        ...(mixing ? { mixing } : {}),
        write: (images) => this.#write(images, batch, plan, mixing),
      }
    }
  }

  async *evaluationBatches(batchSize: number): AsyncGenerator<ReadyBatch> {
    const { source, options, dataset } = this
    const { onProblem = () => {}, imageSize } = options
    const loader = new BatchLoader(source, { onBadImage: 'drop', onProblem })
    const isCentred = dataset.size !== undefined && imageSize === undefined
    const plan = (image: LoadedImage) =>
      isCentred ? centredPlan(image, this.#size) : evaluationPlan(image, this.#size)
    for await (const batch of loader.load(evaluationBatches(this.count, batchSize)))
      if (batch.labels.length > 0)
        yield { labels: batch.labels, write: (images) => this.#write(images, batch, plan) }
  }

  /** Gives the device's memory back. */
  release(): void {
    this.#augmenter?.release()
    this.#augmenter = undefined
  }

  async #write(
    images: GpuArray<'f32'>,
    batch: LoadedBatch,
    plan: (image: LoadedImage, i: number) => ImagePlan,
    mixing?: ReadyBatch['mixing'],
  ): Promise<void> {
    if (!this.dataset.statistics) {
      this.gpu.write(images, this.#floats(batch))
      return
    }
    const { mean = this.dataset.statistics.mean, std = this.dataset.statistics.std } = this.options
    const { resampling } = this.options
    this.#augmenter ??= new Augmenter(this.gpu, {
      ...this.#size,
      mean,
      std,
      ...(resampling ? { resampling } : {}),
    })
    await this.#augmenter.run(batch.images, batch.images.map(plan), images, mixing)
  }

  /** f32 images one behind the other; a grey one is repeated to three channels. */
  #floats({ images }: LoadedBatch): Float32Array {
    const [height, width] = this.shape
    const out = new Float32Array(images.length * height * width * 3)
    for (const [i, { data, channels }] of images.entries()) {
      const start = i * height * width * 3
      if (channels === 3) out.set(data, start)
      else
        for (let j = 0; j < data.length; j++) out.fill(data[j]!, start + 3 * j, start + 3 * j + 3)
    }
    return out
  }
}
