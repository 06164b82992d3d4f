import { checkResampling, type Resampling } from '../data/augment/resampling.ts'
import type { Variant } from '../losses/definition.ts'
import { type Initialisation, initialisations } from '../nn/initialisation.ts'
import { type Architecture, architectures, poolings, stems } from '../nn/resnet.ts'
import { checkEmaDecay } from '../optim/ema.ts'
import { decayStarts, type ScheduleName, scheduleNames } from '../optim/schedule.ts'
import { checkSgdOptions } from '../optim/sgd.ts'

/** How the training examples are ordered: anew each epoch, or as the data set has them. */
export const shuffles = ['epoch', 'none'] as const

/** Random resized crops (ImageNet), windows of padded images (CIFAR), or the images as they are. */
export const augmentations = ['random-resized', 'pad', 'none'] as const

export const filters = ['bilinear', 'bicubic'] as const

/** At the centres of pixels, or at multiples of the scale, as TensorFlow 1 resizes (D10). */
export const points = ['half', 'corner'] as const

/** Resize, then take the centre; or take the centre, then resize, as the authors' code (D11). */
export const evalCrops = ['torchvision', 'paper'] as const

/** Report and go on without it, or end the run. */
export const badImageActions = ['skip', 'refuse'] as const

/** Everything that decides what a training run computes. */
export interface TrainConfig {
  readonly objective: string
  readonly hyperparameters: Readonly<Record<string, number>>
  /** Where the paper's text and its authors' code differ. Default paper. */
  readonly variant?: Variant
  /**
   * Whether class 0 is the background class of the authors' code (D8): labels are counted from 1, no image has label
   * 0, and what is evaluated leaves it out. Default false.
   */
  readonly background?: boolean
  /** Data set as it was asked for, with the number of its training images. */
  readonly dataset: string
  readonly trainImages: number
  /** Mean of each channel, pixels in [0, 1]; default: the data set's own. */
  readonly mean?: readonly number[]
  /** Standard deviation of each channel; default: the data set's own. */
  readonly std?: readonly number[]
  /** Default resnet50. */
  readonly arch?: Architecture
  /** Width multiplier of the network. */
  readonly width: number
  /** Default imagenet. */
  readonly stem?: (typeof stems)[number]
  /** Default torchvision. */
  readonly pool?: (typeof poolings)[number]
  /** Default torchvision. */
  readonly init?: Initialisation
  /** Whether the last gamma of each block starts at 0. Default true. */
  readonly zeroGamma?: boolean
  /** A file to take the initial weights from; default: none. */
  readonly weights?: string
  readonly seed: number
  readonly steps: number
  /** Stops after this many steps of a schedule that is made for `steps`; default: none. */
  readonly maxSteps?: number
  readonly batch: number
  /** Images that go through the network at once, and share batch statistics; default: `batch`. */
  readonly microBatch?: number
  /** Rows and columns of the network's input; default: the images' own, at least 32, or 224. */
  readonly imageSize?: number
  /** How training images are cropped and mirrored; default none. */
  readonly augment?: (typeof augmentations)[number]
  /** AutoAugment's policy for ImageNet. Default false. */
  readonly autoAugment?: boolean
  /** Alpha of Mixup. Default 0, none. */
  readonly mixup?: number
  /** How images are resized. Default bilinear. */
  readonly filter?: Resampling['filter']
  /** Whether all source pixels under an output pixel count. Default true. */
  readonly antialias?: boolean
  /** Where points are sampled without antialiasing. Default half. */
  readonly points?: (typeof points)[number]
  /** How evaluated images of any size are cropped. Default torchvision. */
  readonly evalCrop?: (typeof evalCrops)[number]
  /** Whether images are turned as their EXIF orientation says. Default false, as torchvision. */
  readonly exifOrientation?: boolean
  /** What a file that gives no image does: default skip, which reports it. */
  readonly onBadImage?: (typeof badImageActions)[number]
  /** Default epoch. */
  readonly shuffle?: (typeof shuffles)[number]
  /** Highest learning rate. */
  readonly lr: number
  readonly schedule: ScheduleName
  readonly warmupSteps: number
  /** Factor of the rate an epoch, of the exponential schedule. Default 0.975. */
  readonly decay?: number
  /** Default warmup. */
  readonly decayFrom?: (typeof decayStarts)[number]
  /** Default true. */
  readonly staircase?: boolean
  readonly momentum: number
  readonly nesterov: boolean
  readonly weightDecay: number
  /** Largest norm of all gradients together; default: none. */
  readonly clipNorm?: number
  /** What the loss is multiplied by before it is differentiated. Default 1. */
  readonly lossScale?: number
  /** Decay of the average of weights and batch-norm buffers, 0 for none. Default 0. */
  readonly ema?: number
  /** Default true. */
  readonly emaWarmup?: boolean
  /** Training images that are set aside to choose the best epoch. Default 0. */
  readonly holdOut?: number
  /** Epochs without a better held-out accuracy after which the run ends; default: none. */
  readonly earlyStop?: number
  /** A line of metrics every so many steps. Default 1. */
  readonly logEvery?: number
}

/** What has no default value: it is off where it is absent. */
type Optional = 'imageSize' | 'mean' | 'std' | 'weights' | 'maxSteps' | 'clipNorm' | 'earlyStop'

/** A configuration with its defaults filled in. */
export type CompleteConfig = Required<Omit<TrainConfig, Optional>> & Pick<TrainConfig, Optional>

/** Fills in the defaults. */
export function completeConfig(config: TrainConfig): CompleteConfig {
  const given = Object.entries(config).filter(([, value]) => value !== undefined)
  return {
    variant: 'paper',
    background: false,
    arch: 'resnet50',
    stem: 'imagenet',
    pool: 'torchvision',
    init: 'torchvision',
    zeroGamma: true,
    microBatch: config.batch,
    augment: 'none',
    autoAugment: false,
    mixup: 0,
    filter: 'bilinear',
    antialias: true,
    points: 'half',
    evalCrop: 'torchvision',
    exifOrientation: false,
    onBadImage: 'skip',
    shuffle: 'epoch',
    decay: 0.975,
    decayFrom: 'warmup',
    staircase: true,
    lossScale: 1,
    ema: 0,
    emaWarmup: true,
    holdOut: 0,
    logEvery: 1,
    ...(Object.fromEntries(given) as unknown as TrainConfig),
  }
}

const LEAST = {
  seed: 0,
  steps: 1,
  maxSteps: 1,
  batch: 1,
  microBatch: 1,
  warmupSteps: 0,
  holdOut: 0,
  earlyStop: 1,
  imageSize: 1,
  logEvery: 1,
}

const CHOICES = {
  arch: Object.keys(architectures),
  stem: stems,
  pool: poolings,
  init: initialisations,
  variant: ['paper', 'released'],
  shuffle: shuffles,
  augment: augmentations,
  filter: filters,
  points,
  evalCrop: evalCrops,
  onBadImage: badImageActions,
  schedule: scheduleNames,
  decayFrom: decayStarts,
} as const

/**
 * @param count training images of the data set
 * @throws Error naming the option that is out of range
 */
export function checkConfig(config: CompleteConfig, count: number): void {
  for (const [name, from] of Object.entries(LEAST) as [keyof typeof LEAST, number][]) {
    const value = config[name]
    if (value !== undefined && (!Number.isSafeInteger(value) || value < from))
      throw new Error(`${name} is ${value}, expected an integer of at least ${from}`)
  }
  for (const [name, known] of Object.entries(CHOICES) as [keyof typeof CHOICES, string[]][])
    if (!known.includes(config[name]))
      throw new Error(`${name} is ${config[name]}, expected one of ${known.join(', ')}`)
  const { width, lr, lossScale, mixup, decay, warmupSteps, steps, ema } = config
  checkBatch(config, count)
  for (const [name, value] of Object.entries({ width, lr, lossScale }))
    if (!(value > 0 && Number.isFinite(value)))
      throw new Error(`${name} is ${value}, expected a number above 0`)
  if (!(mixup >= 0 && Number.isFinite(mixup)))
    throw new Error(`mixup is ${mixup}, expected a number of at least 0`)
  if (!(decay > 0 && decay <= 1)) throw new Error(`decay is ${decay}, expected a number in (0, 1]`)
  if (warmupSteps > steps)
    throw new Error(`warmupSteps is ${warmupSteps}, expected at most the ${steps} steps of the run`)
  if (ema !== 0) checkEmaDecay(ema)
  checkResampling(config)
  checkSgdOptions(config)
}

function checkBatch(config: CompleteConfig, count: number): void {
  const { batch, microBatch, trainImages, holdOut, earlyStop } = config
  if (trainImages !== count)
    throw new Error(`trainImages is ${trainImages}, expected the ${count} of the data set`)
  for (const [name, value] of Object.entries({ batch, microBatch }))
    if (value === 1)
      throw new Error(
        `${name} is 1, expected at least 2: batch normalisation has no variance over one image`,
      )
  if (holdOut >= count)
    throw new Error(`holdOut is ${holdOut}, expected less than the ${count} training images`)
  if (batch > count - holdOut)
    throw new Error(
      `batch is ${batch}, expected at most the ${count - holdOut} training images of the data set${holdOut > 0 ? ' that are not held out' : ''}`,
    )
  if (batch % microBatch !== 0)
    throw new Error(`microBatch is ${microBatch}, expected a divisor of the batch, ${batch}`)
  if (earlyStop !== undefined && holdOut === 0)
    throw new Error(`earlyStop is ${earlyStop}, expected only with images held out: set holdOut`)
}
