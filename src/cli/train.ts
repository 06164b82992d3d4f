import process from 'node:process'
import { Command, Option } from 'commander'
import type { ImageDataset } from '../data/imageSource.ts'
import { openImageDataset } from '../data/registry.ts'
import { type Gpu, openGpu } from '../gpu/gpu.ts'
import { instantiate, type Objective } from '../losses/objective.ts'
import { objectiveNamed } from '../losses/registry.ts'
import {
  type CompleteConfig,
  checkConfig,
  completeConfig,
  type TrainConfig,
} from '../train/config.ts'
import { imageInput } from '../train/decodedInput.ts'
import { accuracy } from '../train/evaluate.ts'
import { differences, RunFolder } from '../train/runFolder.ts'
import { TrainingInterrupted, type TrainOutcome, train } from '../train/trainer.ts'
import { Progress } from './progress.ts'
import {
  argumentOf,
  flagOf,
  parseSetting,
  readSettings,
  type SettingName,
  type Settings,
  trainSettings,
} from './trainSettings.ts'

/** What holds where neither the configuration file nor an option says otherwise. */
const DEFAULTS = {
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

interface Options {
  readonly config?: string
  readonly out: string
  readonly resume?: string
  readonly keep: number
  readonly checkpointMinutes: number
  readonly test: boolean
  readonly overwrite?: boolean
  readonly unsafeFast?: boolean
  readonly json?: boolean
}

export function trainCommand(): Command {
  const command = new Command('train')
    .description('train a network; writes a run folder, or goes on with one')
    .argument('[CONFIG]', 'TOML file of settings by name; the options override it')
    .option('--out <DIR>', 'run folder', 'runs/train')
    .option('--resume <RUN>', 'go on with this run as it was asked for')
  for (const name of Object.keys(trainSettings) as SettingName[]) {
    const byDefault = (DEFAULTS as Settings)[name]
    const { help } = trainSettings[name]
    const text = byDefault === undefined ? help : `${help} (default: ${byDefault})`
    command.addOption(
      new Option(`${flagOf(name)} <${argumentOf(name).slice(1, -1)}>`, text).argParser(
        (value, before) => parseSetting(name, value, before),
      ),
    )
  }
  const count = (text: string) => parseSetting('steps', text) as number
  return command
    .option('--keep <N>', 'checkpoints to keep besides the best', count, 2)
    .option('--checkpoint-minutes <N>', 'between checkpoints within an epoch', count, 10)
    .option('--no-augment', 'training images as they are')
    .option('--no-test', 'skip the accuracy on the test images')
    .option('--overwrite', 'replace another run in the folder')
    .option('--unsafe-fast', "turn the driver's index clamping off")
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(
  file: string | undefined,
  options: Options & Settings,
  command: Command,
): Promise<void> {
  const { folder, dataset, objective, config } = await prepare(file, options).catch((error) => {
    if (error instanceof UsageError) command.error(`gramgrad: ${error.message}`)
    throw error
  })
  const progress = new Progress()
  const interrupt = new AbortController()
  process.on('SIGINT', () => {
    // A second Ctrl-C does not wait; the last checkpoint stands.
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
    progress.say('Interrupted: finishing the step and writing a checkpoint ...')
  })
  const gpu = await openGpu({ unsafeFast: !!options.unsafeFast })
  try {
    progress.say(
      `${gpu.profile.driver}; ${config.trainImages} training and ${dataset.test?.count ?? 'no'} test images of ${dataset.name}`,
    )
    const task = progress.task('Training', config.maxSteps ?? config.steps, 'steps')
    const outcome = await train(gpu, dataset, objective, config, folder, {
      signal: interrupt.signal,
      keepCheckpoints: options.keep,
      checkpointMinutes: options.checkpointMinutes,
      onProblem: (problem) => progress.say(problem.message),
      onProgress: ({ step, steps, loss, imagesPerSecond }) =>
        task.update(
          step,
          `${imagesPerSecond.toFixed(1)} images/s, loss ${loss.toPrecision(4)}`,
          steps,
        ),
    })
    const top1 = options.test ? await testAccuracy(gpu, progress, dataset, config, outcome) : null
    progress.stop()
    const report = {
      run: folder,
      epochs: outcome.steps / Math.floor((config.trainImages - config.holdOut) / config.batch),
      steps: outcome.steps,
      loss: finalLoss(outcome),
      top1,
      imagesPerSecond: outcome.imagesPerSecond,
      ...(top1 === null ? { undefined: { top1: whyUntested(options) } } : {}),
    }
    process.stdout.write(
      options.json
        ? `${JSON.stringify(report)}\n`
        : `${folder}: ${report.steps} steps, loss ${report.loss}, ${top1 === null ? '' : `top-1 ${(100 * top1).toFixed(2)} %, `}${report.imagesPerSecond.toFixed(1)} images/s\n`,
    )
  } catch (error) {
    progress.stop()
    if (error instanceof TrainingInterrupted)
      process.stderr.write(
        `Stopped after step ${error.step}; gramgrad train --resume ${folder} goes on from there.\n`,
      )
    throw error
  } finally {
    gpu.close()
  }
}

/** Share of the test images that are right, or null where there are none. */
async function testAccuracy(
  gpu: Gpu,
  progress: Progress,
  dataset: ImageDataset,
  config: CompleteConfig,
  { model }: TrainOutcome,
): Promise<number | null> {
  if (!dataset.test) return null
  const task = progress.task('Testing', dataset.test.count, 'images')
  const say = (problem: Error) => progress.say(problem.message)
  const input = imageInput(gpu, dataset, dataset.test, config, say)
  try {
    return await accuracy(gpu, model, input, (done) => task.update(done))
  } finally {
    input.release()
  }
}

function whyUntested({ test }: Options): string {
  return test ? 'the data set has no test images' : '--no-test was given'
}

class UsageError extends Error {}

interface Prepared {
  readonly folder: string
  readonly dataset: ImageDataset
  readonly objective: Objective
  readonly config: CompleteConfig
}

/** @throws UsageError naming the setting that is wrong, Error on a data set or folder that is */
async function prepare(file: string | undefined, options: Options & Settings): Promise<Prepared> {
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
  const settings = { ...DEFAULTS, ...(file ? await readSettings(file) : {}), ...given }
  const { dataset: name } = settings as { dataset?: string }
  if (name === undefined)
    throw new UsageError('no data set is given: --dataset NAME, or dataset in the configuration')
  const definition = usage(() => objectiveNamed(settings.loss as string))
  const dataset = await openImageDataset(name)
  const { variant: _, ...set } = (settings.set ?? {}) as Record<string, number>
  const variant = (settings.variant ??
    (settings.set as Settings | undefined)?.variant ??
    'paper') as 'paper' | 'released'
  const objective = usage(() => instantiate(definition, dataset.classes, set, { variant }))
  const config = usage(() => configOf(settings, given, objective, dataset))
  if (!options.overwrite) await refuseOther(folder, config)
  return { folder, dataset, objective, config }
}

function usage<T>(body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

async function fromConfig(folder: string, config: CompleteConfig): Promise<Prepared> {
  const dataset = await openImageDataset(config.dataset)
  const { hyperparameters, variant } = config
  const objective = instantiate(
    objectiveNamed(config.objective),
    dataset.classes,
    hyperparameters,
    {
      variant,
    },
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
  const { batch, holdOut = 0 } = settings as { batch: number; holdOut?: number }
  // At least one, so that a batch that is too large is what gets named.
  const perEpoch = Math.max(1, Math.floor((dataset.train.count - holdOut) / batch))
  const inSteps = (name: 'steps' | 'warmupSteps', epochsName: 'epochs' | 'warmupEpochs') => {
    if (given[name] !== undefined && given[epochsName] !== undefined)
      throw new Error(`both ${flagOf(name)} and ${flagOf(epochsName)} are given, expected one`)
    const wins = given[name] ?? (given[epochsName] === undefined ? settings[name] : undefined)
    return (wins as number) ?? Math.round((settings[epochsName] as number) * perEpoch)
  }
  const { statistics, size } = dataset
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
    trainImages: dataset.train.count,
    steps: inSteps('steps', 'epochs'),
    warmupSteps: inSteps('warmupSteps', 'warmupEpochs'),
  })
  checkConfig(config, dataset.train.count)
  return config
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

/** Mean loss of the last epoch, or of the steps where there is none. */
function finalLoss({ metrics }: TrainOutcome): number {
  const epoch = metrics.findLast((line) => 'epoch' in line)
  if (epoch) return epoch.loss
  return metrics.reduce((sum, { loss }) => sum + loss, 0) / metrics.length
}
