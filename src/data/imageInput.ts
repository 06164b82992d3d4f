import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { Augmenter } from './augment/augmenter.ts'
import type { Size } from './augment/box.ts'
import { centredPlan, type EvaluationCrop, evaluationPlan } from './augment/evaluationPlan.ts'
import type { ImagePlan } from './augment/imagePlan.ts'
import type { Mixing } from './augment/mixup.ts'
import type { Resampling } from './augment/resampling.ts'
import { type TrainingAugmentation, TrainingPlans } from './augment/trainingPlans.ts'
import { BatchLoader, type BatchLoaderOptions, type LoadedBatch } from './batchLoader.ts'
import type { ImageDataset, ImageSource, LoadedImage } from './imageSource.ts'

export interface ImageInputOptions extends BatchLoaderOptions {
  /** Rows of the network's input; default 224 where sizes differ, else the larger of 32 and theirs. */
  readonly height?: number
  /** Columns, likewise. */
  readonly width?: number
  /** Mean of each channel, pixels in [0, 1]; default the data set's own. */
  readonly mean?: readonly number[]
  /** Standard deviation of each channel, likewise. */
  readonly std?: readonly number[]
  /** Default bilinear, antialiased. */
  readonly resampling?: Resampling
}

/** Which images a batch of training has. */
export interface PlannedBatch {
  /** u32 [B], indexes into the source. */
  readonly examples: Uint32Array
  /** From 0 (u32); part of the key of all random draws. */
  readonly epoch: number
}

/** A batch whose images are decoded. */
export interface ReadyBatch {
  /** u32 [B]: the examples that are in it; see `OnBadImage` for files that give no image. */
  readonly examples: Uint32Array
  /** u32 [B]. */
  readonly labels: Uint32Array
  /**
   * Writes the network's input; the device's work is submitted when the promise resolves.
   *
   * @param images f32 [B, height, width, 3].
   * @param mixing how to mix the batch; the targets must be mixed with the same.
   */
  fill(images: GpuArray<'f32'>, mixing?: Mixing): Promise<void>
}

const FOLDER_INPUT = 224
const LEAST_INPUT = 32

/**
 * One split of a data set as the network's input: decoded ahead on all cores, augmented on the
 * device. Images that are f32 are taken as they are, a grey one repeated to three channels.
 */
export class ImageInput {
  /** [height, width, channels] of the network's input. */
  readonly shape: readonly [number, number, 3]
  /** Examples of the split. */
  readonly count: number
  readonly #loader: BatchLoader
  readonly #augmenter: Augmenter | undefined
  readonly #sizesDiffer: boolean
  readonly #dropsBad: boolean

  /**
   * @param dataset whose statistics and sizes count.
   * @param source the split; one of the data set's, or a part of it.
   * @throws RangeError when images are smaller or larger than the input and f32, a `mean` is given
   *   for f32 images, or as `Augmenter` and `BatchLoader`.
   */
  constructor(
    private readonly gpu: Gpu,
    dataset: Pick<ImageDataset, 'size' | 'statistics'>,
    source: ImageSource,
    options: ImageInputOptions = {},
  ) {
    const { size, statistics } = dataset
    const input = inputSize(size, statistics === undefined, options)
    this.shape = [input.height, input.width, 3]
    this.count = source.count
    this.#sizesDiffer = size === undefined
    this.#dropsBad = options.onBadImage === 'drop'
    this.#loader = new BatchLoader(source, options)
    if (statistics === undefined) {
      if (options.mean ?? options.std) {
        throw new RangeError('mean or std is given, but the images are f32 and taken as they are')
      }
      return
    }
    const { mean = statistics.mean, std = statistics.std, resampling } = options
    this.#augmenter = new Augmenter(gpu, {
      ...input,
      mean,
      std,
      ...(resampling && { resampling }),
    })
  }

  /** The files that gave no image so far, by example. */
  get problems(): BatchLoader['problems'] {
    return this.#loader.problems
  }

  /**
   * Batches of training, in order, decoded ahead.
   *
   * @param batches drawn a few at a time; may be endless.
   * @param seed an integer in [0, 2^53 - 1].
   * @throws RangeError when an augmentation is out of range or asked of f32 images, or bad images
   *   are dropped: batches of training have one size.
   */
  training(
    batches: Iterable<PlannedBatch>,
    seed: number,
    augmentation: TrainingAugmentation = {},
  ): AsyncGenerator<ReadyBatch, void, undefined> {
    if (this.#dropsBad) {
      throw new RangeError('onBadImage is drop, expected fail or replace in training')
    }
    const plans = new TrainingPlans(this.#size(), seed, augmentation)
    const { crop, flip, autoAugment } = augmentation
    if (!this.#augmenter && (crop !== 'none' || flip || autoAugment)) {
      throw new RangeError("images are f32 and taken as they are, expected augmentation 'none'")
    }
    const epochs: number[] = []
    const examples = examplesOf(batches, epochs)
    return this.#batches(
      examples,
      (image, example) => plans.plan(image, example, epochs[0]!),
      () => epochs.shift(),
    )
  }

  /**
   * Batches of evaluation, in order, decoded ahead; nothing is random. A batch without one good
   * image is passed over.
   *
   * @param batches u32 [B] each.
   * @param crop default: resize and centre crop where sizes differ, else the image in the centre.
   */
  evaluation(
    batches: Iterable<Uint32Array>,
    crop: EvaluationCrop | 'centre' = this.#sizesDiffer ? {} : 'centre',
  ): AsyncGenerator<ReadyBatch, void, undefined> {
    const size = this.#size()
    return this.#batches(batches, (image) =>
      crop === 'centre' ? centredPlan(image, size) : evaluationPlan(image, size, crop),
    )
  }

  /** Gives the device's memory back. */
  release(): void {
    this.#augmenter?.release()
  }

  #size(): Size {
    return { height: this.shape[0], width: this.shape[1] }
  }

  async *#batches(
    batches: Iterable<Uint32Array>,
    planOf: (size: Size, example: number) => ImagePlan,
    afterEach: () => void = () => {},
  ): AsyncGenerator<ReadyBatch, void, undefined> {
    for await (const batch of this.#loader.load(batches)) {
      const { indexes: examples, labels, images } = batch
      const plans = images.map(({ height, width }, i) => planOf({ height, width }, examples[i]!))
      afterEach()
      if (images.length === 0) continue
      yield {
        examples,
        labels,
        fill: (out, mixing) => this.#fill(batch, plans, out, mixing),
      }
    }
  }

  async #fill(
    { images }: LoadedBatch,
    plans: readonly ImagePlan[],
    out: GpuArray<'f32'>,
    mixing: Mixing | undefined,
  ): Promise<void> {
    if (this.#augmenter) return this.#augmenter.run(images, plans, out, mixing)
    const values = new Float32Array(out.length)
    const length = this.shape[0] * this.shape[1] * 3
    for (const [i, image] of images.entries()) {
      writeFloats(image, values.subarray(i * length, (i + 1) * length))
    }
    this.gpu.write(out, mixing ? mixed(values, length, mixing) : values)
  }
}

/** The examples of each batch; the epochs are kept in step with what is drawn. */
function* examplesOf(batches: Iterable<PlannedBatch>, epochs: number[]): Generator<Uint32Array> {
  for (const { examples, epoch } of batches) {
    epochs.push(epoch)
    yield examples
  }
}

/**
 * The network's input for images of this size, or of any.
 *
 * @param takenAsTheyAre of f32 images
 * @throws RangeError when such are to be of another size
 */
export function inputSize(
  size: Size | undefined,
  takenAsTheyAre: boolean,
  { height, width }: Pick<ImageInputOptions, 'height' | 'width'>,
): Size {
  const sideOf = (side: keyof Size) => {
    if (size === undefined) return FOLDER_INPUT
    return takenAsTheyAre ? size[side] : Math.max(LEAST_INPUT, size[side])
  }
  const input = { height: height ?? sideOf('height'), width: width ?? sideOf('width') }
  if (takenAsTheyAre && (input.height !== size?.height || input.width !== size.width)) {
    throw new RangeError(
      `the input is ${input.height} x ${input.width}, expected ${size?.height} x ${size?.width}, ` +
        'as the images are f32 and taken as they are',
    )
  }
  return input
}

function writeFloats({ data, channels }: LoadedImage, out: Float32Array): void {
  if (channels === 3) out.set(data)
  else for (let i = 0; i < out.length; i++) out[i] = data[Math.floor(i / 3)]!
}

function mixed(values: Float32Array, length: number, { lambda, partners }: Mixing): Float32Array {
  return values.map((value, i) => {
    const image = Math.floor(i / length)
    const other = values[partners[image]! * length + (i - image * length)]!
    return lambda * value + (1 - lambda) * other
  })
}
