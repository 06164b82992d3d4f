import { type ImageDataset, withBackground } from '../data/imageSource.ts'
import { openImageDataset } from '../data/registry.ts'
import { instantiate, type Objective } from '../losses/objective.ts'
import { objectiveNamed } from '../losses/registry.ts'
import {
  type CompleteConfig,
  checkConfig,
  completeConfig,
  type TrainConfig,
} from '../train/config.ts'
import { differences, RunFolder } from '../train/runFolder.ts'
import {
  checkStatistics,
  fittingMicroBatch,
  type Lengths,
  lengthsInSteps,
} from '../train/runSettings.ts'
import {
  flagOf,
  readSettings,
  type SettingName,
  type Settings,
  trainSettings,
} from './trainSettings.ts'

/** What holds where neither the configuration file nor an option says otherwise. */
export const trainDefaults = {
  loss: 'softmax',
  arch: 'resnet50',
  width: 1,
  epochs: 10,
  batch: 64,
  lr: 0.05,
  schedule: 'cosine',
  warmupEpochs: 0,
  momentum: 0.9,
  nesterov: true,
  weightDecay: 8e-5,
  ema: 0.9999,
  seed: 1,
} as const satisfies Settings

/** Settings that may change when a run goes on. */
const CHANGEABLE: readonly string[] = ['maxSteps'] satisfies SettingName[]

/** Sides below this are those of small images. */
const SMALL = 64

/** A setting or an option that is wrong. */
export class UsageError extends Error {}

/** Where and how a run is asked for, besides its settings. */
export interface RunOptions {
  readonly out: string
  readonly resume?: string
  readonly overwrite?: boolean
}

/** A run that can begin, or go on. */
export interface PreparedRun {
  readonly folder: string
  readonly dataset: ImageDataset
  readonly objective: Objective
  readonly config: CompleteConfig
}

/**
 * Puts defaults, configuration file and options together, opens the data set and checks all of it.
 *
 * @param file a configuration, or undefined
 * @throws UsageError naming the setting that is wrong, Error on a file, data set or folder that is
 */
export async function prepareTraining(
  file: string | undefined,
  options: RunOptions & Settings,
): Promise<PreparedRun> {
  const names = Object.keys(trainSettings) as SettingName[]
  const asked: Record<string, unknown> = Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  )
  if (options.augment === false)
    Object.assign(asked, { augment: 'none', autoAugment: false, mixup: 0 })
  const given: Settings = asked
  const folder = options.resume ?? options.out
  if (options.resume !== undefined) {
    const fixed = Object.keys(given).find((name) => !CHANGEABLE.includes(name))
    if (file !== undefined || fixed)
      throw new UsageError(
        `${fixed ? flagOf(fixed as SettingName) : file} is given with --resume, expected only ${CHANGEABLE.map((name) => flagOf(name as SettingName)).join(', ')}: a run goes on as it was asked for`,
      )
    const stored = await new RunFolder(folder).readConfig()
    if (!stored) throw new Error(`${folder} holds no run to resume: there is no config.toml`)
    const maxSteps = given.maxSteps as number | undefined
    const { maxSteps: _, ...rest } = stored
    return fromConfig(folder, maxSteps === undefined ? stored : { ...rest, maxSteps })
  }
  const settings = { ...trainDefaults, ...(file ? await readSettings(file) : {}), ...given }
  const { dataset: name } = settings as { dataset?: string }
  if (name === undefined)
    throw new UsageError('no data set is given: --dataset NAME, or dataset in the configuration')
  const definition = usage(() => objectiveNamed(settings.loss as string))
  const dataset = await openImages(name, settings)
  const { variant: _, ...set } = (settings.set ?? {}) as Record<string, number>
  const variant = (settings.variant ??
    (settings.set as Settings | undefined)?.variant ??
    'paper') as 'paper' | 'released'
  const objective = usage(() =>
    instantiate(definition, dataset.classes, set, {
      variant,
      background: settings.background === true,
    }),
  )
  const config = usage(() => configOf(settings, given, objective, dataset))
  if (!options.overwrite) await refuseOther(folder, config)
  return { folder, dataset, objective, config }
}

/** Opens a data set whose files are treated as the settings say. */
export async function openImages(
  name: string,
  { onBadImage, exifOrientation, background }: Settings,
): Promise<ImageDataset> {
  const dataset = await openImageDataset(name, {
    exifOrientation: exifOrientation === true,
    ...(onBadImage === 'refuse' ? { onProblem: refuse } : {}),
  })
  return background === true ? withBackground(dataset) : dataset
}

function refuse(problem: Error): never {
  throw problem
}

function usage<T>(body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

async function fromConfig(folder: string, config: CompleteConfig): Promise<PreparedRun> {
  const dataset = await openImages(config.dataset, config)
  const { hyperparameters, variant, background } = config
  const objective = instantiate(
    objectiveNamed(config.objective),
    dataset.classes,
    hyperparameters,
    { variant, background },
  )
  return { folder, dataset, objective, config }
}

/** The settings as the trainer takes them: lengths in steps, hyperparameters filled in. */
function configOf(
  settings: Settings,
  given: Settings,
  objective: Objective,
  dataset: ImageDataset,
): CompleteConfig {
  const { loss, set, epochs, steps, warmupEpochs, warmupSteps, ...rest } = settings
  const { statistics, size } = dataset
  const trainImages = dataset.train.count
  const { batch, holdOut = 0 } = settings as { batch: number; holdOut?: number }
  const lengths = lengthsInSteps(
    given as Lengths,
    settings as Lengths,
    { batch, trainImages, holdOut },
    flagOf,
  )
  checkStatistics(rest, dataset, flagOf)
  // f32 images are taken as they are; small ones are moved, large ones and those of any size cropped.
  const small = size !== undefined && Math.max(size.height, size.width) < SMALL
  const augment = !statistics ? 'none' : small ? 'pad' : 'random-resized'
  const config = completeConfig({
    augment,
    ...statistics,
    ...(rest as unknown as TrainConfig),
    objective: objective.name,
    variant: objective.variant,
    hyperparameters: objective.hyperparameters,
    trainImages,
    steps: lengths.steps!,
    warmupSteps: lengths.warmupSteps!,
  })
  const fitted =
    settings.microBatch === undefined
      ? { ...config, microBatch: fittingMicroBatch(config, dataset) }
      : config
  checkConfig(fitted, trainImages)
  return fitted
}

/** @throws UsageError where the folder holds a run that was asked for otherwise */
async function refuseOther(folder: string, config: CompleteConfig): Promise<void> {
  const stored = await new RunFolder(folder).readConfig()
  if (!stored) return
  const [name] = differences(stored, config) as (keyof CompleteConfig)[]
  if (name !== undefined)
    throw new UsageError(
      `${folder} holds a run whose ${name} is ${JSON.stringify(stored[name])}, not ${JSON.stringify(config[name])}: give another --out, or --overwrite`,
    )
}
