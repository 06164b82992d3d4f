import { RandomStream } from '../../random/randomStream.ts'
import { streams } from '../../random/streams.ts'
import type { Size } from './box.ts'
import { centredPlan } from './evaluationPlan.ts'
import type { ImagePlan } from './imagePlan.ts'
import { drawPolicy, POLICY_WORDS } from './policy.ts'
import { CROP_WORDS, type CropRange, checkCropRange, randomResizedCrop } from './randomCrop.ts'

export interface TrainingAugmentation extends CropRange {
  /**
   * `random-resized` (default): a random box, resized to the network's input. `pad`: a window of the
   * network's size, anywhere in the image after `padding` black pixels were added on each side (as
   * is usual for CIFAR). `none`: the image in the centre of the network's input, neither resized nor
   * mirrored.
   */
  readonly crop?: 'random-resized' | 'pad' | 'none'
  /** Black pixels on each side with `pad`, an integer from 0; default 4. */
  readonly padding?: number
  /** Probability of mirroring, 0 to 1; default 0.5, with `none` 0. */
  readonly flip?: number
  /** AutoAugment's policy for ImageNet. Default false. */
  readonly autoAugment?: boolean
}

/** Words of the stream `augment` that one example has: 64 i .. 64 i + 63 are example i's. */
const EXAMPLE_WORDS = 64
/** What they are for: mirroring, crop, policy. */
const FLIP_WORD = 0
const CROP_WORD = 2
const POLICY_WORD = CROP_WORD + CROP_WORDS
if (POLICY_WORD + POLICY_WORDS > EXAMPLE_WORDS) throw new Error('an example has too few words')

/**
 * Draws how each training image is augmented: a function of (seed, epoch, example) and the image's
 * size alone, so neither the order of the images nor the number of decoders changes anything.
 */
export class TrainingPlans {
  readonly #options: Required<Omit<TrainingAugmentation, 'area' | 'aspect'>>
  readonly #range: CropRange

  /**
   * @param input the network's input.
   * @param seed an integer in [0, 2^53 - 1].
   * @throws RangeError naming an option out of range.
   */
  constructor(
    private readonly input: Size,
    private readonly seed: number,
    options: TrainingAugmentation = {},
  ) {
    const { crop = 'random-resized', padding = 4, autoAugment = false } = options
    const flip = options.flip ?? (crop === 'none' ? 0 : 0.5)
    if (!['random-resized', 'pad', 'none'].includes(crop)) {
      throw new RangeError(`crop is '${crop}', expected random-resized, pad or none`)
    }
    if (!Number.isInteger(padding) || padding < 0) {
      throw new RangeError(`padding is ${padding}, expected an integer from 0`)
    }
    if (!(flip >= 0 && flip <= 1)) throw new RangeError(`flip is ${flip}, expected 0 to 1`)
    checkCropRange(options)
    this.#options = { crop, padding, flip, autoAugment }
    this.#range = options
  }

  /**
   * @param size of the decoded image.
   * @param example its index in the data set.
   * @param epoch from 0 (u32).
   */
  plan(size: Size, example: number, epoch: number): ImagePlan {
    const random = new RandomStream(this.seed, streams.augment, epoch)
    const word = EXAMPLE_WORDS * example
    const { flip, autoAugment } = this.#options
    const mirrored = random.uniform(word + FLIP_WORD) < flip
    const policy = autoAugment ? drawPolicy(random, word + POLICY_WORD) : []
    return { ...this.#place(size, random, word + CROP_WORD), flip: mirrored, policy }
  }

  #place(size: Size, random: RandomStream, word: number): ImagePlan {
    const { crop, padding } = this.#options
    if (crop === 'random-resized') {
      const box = randomResizedCrop(random, word, size, this.#range)
      return { box, resized: this.input, first: { y: 0, x: 0 }, flip: false }
    }
    const centred = centredPlan(size, this.input)
    if (crop === 'none') return centred
    const place = (length: number, wanted: number, at: number) =>
      random.integer(at, Math.max(0, length + 2 * padding - wanted) + 1) - padding
    const y = place(size.height, this.input.height, word)
    const x = place(size.width, this.input.width, word + 1)
    return { ...centred, first: { y, x } }
  }
}
