import { InvalidArgumentError } from 'commander'
import { parse } from 'smol-toml'
import { readFileBytes } from '../data/files.ts'
import { initialisations } from '../nn/initialisation.ts'
import { architectures, poolings, stems } from '../nn/resnet.ts'
import { decayStarts, scheduleNames } from '../optim/schedule.ts'
import {
  augmentations,
  badImageActions,
  evalCrops,
  filters,
  points,
  shuffles,
} from '../train/config.ts'

type Kind = 'number' | 'boolean' | 'text' | 'numbers' | 'table' | readonly string[]

interface Setting {
  readonly kind: Kind
  readonly help: string
}

/** What a run is asked for with: an option each, and a key of a configuration file. */
export const trainSettings = {
  dataset: {
    kind: 'text',
    help: 'fashion-mnist, or FORMAT:PATH: cifar10, cifar100, idx, folder ...',
  },
  mean: { kind: 'numbers', help: 'of each channel, pixels in [0, 1]; default: the data set’s own' },
  std: { kind: 'numbers', help: 'likewise' },
  loss: { kind: 'text', help: 'softmax, label-smoothing, ... or a combination' },
  set: { kind: 'table', help: 'a hyperparameter of the loss' },
  variant: { kind: ['paper', 'released'], help: 'where the paper and its code differ' },
  background: {
    kind: 'boolean',
    help: 'class 0 is no image’s, as in the authors’ code; labels count from 1 (D8)',
  },
  arch: { kind: Object.keys(architectures), help: 'network' },
  width: { kind: 'number', help: 'factor of every channel count' },
  stem: { kind: stems, help: 'first layers; small: 3x3, no pool' },
  pool: { kind: poolings, help: 'where the max pool looks' },
  init: { kind: initialisations, help: 'initial weights' },
  zeroGamma: { kind: 'boolean', help: 'last gamma of each block starts at 0' },
  weights: { kind: 'text', help: 'start from this .safetensors file' },
  epochs: { kind: 'number', help: 'length of the run' },
  steps: { kind: 'number', help: 'the same in steps' },
  maxSteps: { kind: 'number', help: 'stop earlier; the schedule stays' },
  batch: { kind: 'number', help: 'images a step' },
  microBatch: {
    kind: 'number',
    help: 'images at once, which share batch statistics; default: as many as any device takes',
  },
  imageSize: { kind: 'number', help: 'rows and columns of the network’s input' },
  augment: { kind: augmentations, help: 'crops of training images, with mirroring' },
  autoAugment: { kind: 'boolean', help: 'the policy for ImageNet' },
  mixup: { kind: 'number', help: 'alpha, 0 for none' },
  filter: { kind: filters, help: 'for resizing' },
  antialias: { kind: 'boolean', help: 'when resizing' },
  points: { kind: points, help: 'sampled without antialiasing' },
  evalCrop: { kind: evalCrops, help: 'of images of any size: resize then cut, or cut then resize' },
  exifOrientation: { kind: 'boolean', help: 'turn images as their EXIF data says' },
  onBadImage: { kind: badImageActions, help: 'a file that gives no image' },
  shuffle: { kind: shuffles, help: 'order of the images' },
  lr: { kind: 'number', help: 'highest learning rate' },
  schedule: { kind: scheduleNames, help: 'of the learning rate' },
  decay: { kind: 'number', help: 'exponential: factor an epoch' },
  decayFrom: { kind: decayStarts, help: 'exponential: where epochs count from' },
  staircase: { kind: 'boolean', help: 'exponential: once an epoch' },
  warmupEpochs: { kind: 'number', help: 'linear warm-up' },
  warmupSteps: { kind: 'number', help: 'the same in steps' },
  momentum: { kind: 'number', help: 'of SGD' },
  nesterov: { kind: 'boolean', help: 'in PyTorch’s form' },
  weightDecay: { kind: 'number', help: 'of weights, not of biases or batch norm' },
  clipNorm: { kind: 'number', help: 'largest norm of the gradients' },
  lossScale: { kind: 'number', help: 'what the loss is multiplied by' },
  ema: { kind: 'number', help: 'decay of averaged weights, 0 for none' },
  emaWarmup: { kind: 'boolean', help: 'the decay rises from 0.1' },
  holdOut: { kind: 'number', help: 'training images set aside' },
  earlyStop: { kind: 'number', help: 'epochs without a better held-out accuracy' },
  logEvery: { kind: 'number', help: 'steps a line of metrics.jsonl' },
  seed: { kind: 'number', help: 'of weights, order and draws' },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof trainSettings

/** Values by setting, as a file or the command line gives them. */
export type Settings = { readonly [N in SettingName]?: unknown }

/** `--weight-decay` of `weightDecay`. */
export function flagOf(name: SettingName): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** What an option takes, for the help. */
export function argumentOf(name: SettingName): string {
  const { kind } = trainSettings[name]
  const words = { number: '<X>', boolean: '<BOOL>', text: '<TEXT>', numbers: '<X,...>' }
  if (kind === 'table') return '<KEY=VALUE>'
  return typeof kind === 'string' ? words[kind] : `<${kind.join('|')}>`
}

/**
 * Reads an option's text.
 *
 * @param before what the same option gave before, of a table
 * @throws InvalidArgumentError saying what was expected
 */
export function parseSetting(name: SettingName, text: string, before?: unknown): unknown {
  const { kind } = trainSettings[name]
  if (kind === 'table') {
    const [, key, value] = /^([^=]+)=(.+)$/.exec(text) ?? []
    if (!key || !value) throw new InvalidArgumentError('expected key=value')
    return { ...(before as object | undefined), [key]: key === 'variant' ? value : number(value) }
  }
  if (kind === 'number') return number(text)
  if (kind === 'numbers') return text.split(',').map(number)
  if (kind === 'boolean') {
    if (text !== 'true' && text !== 'false')
      throw new InvalidArgumentError('expected true or false')
    return text === 'true'
  }
  if (kind !== 'text' && !(kind as readonly string[]).includes(text))
    throw new InvalidArgumentError(`expected one of ${kind.join(', ')}`)
  return text
}

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value))
    throw new InvalidArgumentError('expected a number')
  return value
}

/** Names that a run's own config.toml has for settings. */
const ALIASES: Readonly<Record<string, SettingName>> = { objective: 'loss', hyperparameters: 'set' }
/** What a run's config.toml says besides: it follows from the data set. */
const DERIVED = ['trainImages']

/**
 * Reads a configuration file: settings by name, in camelCase or kebab-case; a run's own config.toml
 * is one.
 *
 * @throws Error naming the file, and the key that is unknown or has the wrong type
 */
export async function readSettings(file: string): Promise<Settings> {
  const text = new TextDecoder().decode(await readFileBytes(file))
  let parsed: Record<string, unknown>
  try {
    parsed = parse(text)
  } catch (error) {
    throw new Error(`${file} is not TOML: ${(error as Error).message.split('\n')[0]}`)
  }
  const found: Partial<Record<SettingName, unknown>> = {}
  for (const [key, value] of Object.entries(parsed)) {
    const camel = key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    if (DERIVED.includes(camel)) continue
    const name = ALIASES[camel] ?? camel
    if (!Object.hasOwn(trainSettings, name))
      throw new Error(
        `${file} has the key ${key}, expected one of ${Object.keys(trainSettings).join(', ')}`,
      )
    const problem = wrongType(trainSettings[name as SettingName].kind, value)
    if (problem) throw new Error(`${file}: ${key} is ${JSON.stringify(value)}, expected ${problem}`)
    found[name as SettingName] = value
  }
  return found
}

function wrongType(kind: Kind, value: unknown): string | undefined {
  if (kind === 'number' || kind === 'boolean')
    return typeof value === kind ? undefined : kind === 'number' ? 'a number' : 'true or false'
  if (kind === 'text') return typeof value === 'string' ? undefined : 'text'
  if (kind === 'numbers')
    return Array.isArray(value) && value.every((v) => typeof v === 'number')
      ? undefined
      : 'a list of numbers'
  if (kind === 'table') return typeof value === 'object' ? undefined : 'a table'
  return kind.includes(value as string) ? undefined : `one of ${kind.join(', ')}`
}
