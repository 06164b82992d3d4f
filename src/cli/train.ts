import process from 'node:process'
import { Command, Option } from 'commander'
import type { ImageDataset } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { CompleteConfig } from '../train/config.ts'
import { imageInput } from '../train/decodedInput.ts'
import { accuracy } from '../train/evaluate.ts'
import { inputOf } from '../train/runSettings.ts'
import { TrainingInterrupted, type TrainOutcome, train } from '../train/trainer.ts'
import { BadImages } from './badImages.ts'
import { interruptSignal } from './interrupt.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { prepareTraining, type RunOptions, trainDefaults, UsageError } from './prepareTraining.ts'
import { Progress } from './progress.ts'
import { separationHook } from './trainSeparation.ts'
import {
  argumentOf,
  flagOf,
  parseSetting,
  type SettingName,
  type Settings,
  trainSettings,
} from './trainSettings.ts'
import { tuneAtFirstUse } from './tuneAtFirstUse.ts'

interface Options extends RunOptions {
  readonly config?: string
  readonly keep: number
  readonly checkpointMinutes: number
  readonly separation: number
  readonly test: boolean
  readonly unsafeFast?: boolean
  readonly json?: boolean
}

export function trainCommand(): Command {
  const command = new Command('train')
    .description('train a network; writes a run folder, or goes on with one')
    .argument('[CONFIG]', 'TOML file of settings by name; the options override it')
    .option('--config <CONFIG>', 'the same')
    .option('--out <DIR>', 'run folder', 'runs/train')
    .option('--resume <RUN>', 'go on with this run as it was asked for')
  for (const name of Object.keys(trainSettings) as SettingName[]) {
    const byDefault = (trainDefaults as Settings)[name]
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
    .option('--separation <N>', 'log R2 of so many images of each split after each epoch', count, 0)
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
  const prepared = await prepareTraining(file ?? options.config, options).catch((error) => {
    if (error instanceof UsageError) command.error(`gramgrad: ${error.message}`)
    throw error
  })
  const { folder, dataset, objective, config } = prepared
  const progress = new Progress()
  const signal = interruptSignal(progress)
  const badImages = new BadImages(progress)
  const gpu = await openTunedGpu({ unsafeFast: !!options.unsafeFast })
  try {
    progress.say(
      `${gpu.profile.driver}; ${config.trainImages} training and ${dataset.test?.count ?? 'no'} test images of ${dataset.name}`,
    )
    const { microBatch, width } = config
    const { height: size } = inputOf(config, dataset)
    const sizes = { batch: microBatch, size, width, classes: dataset.classes }
    await tuneAtFirstUse(gpu, sizes, progress)
    const task = progress.task('Training', config.maxSteps ?? config.steps, 'steps')
    const outcome = await train(gpu, dataset, objective, config, folder, {
      ...separationHook(gpu, dataset, config, options.separation, badImages.add),
      signal,
      keepCheckpoints: options.keep,
      checkpointMinutes: options.checkpointMinutes,
      onProblem: badImages.add,
      onProgress: ({ step, steps, loss, imagesPerSecond }) =>
        task.update(
          step,
          `${imagesPerSecond.toFixed(1)} images/s, loss ${loss.toPrecision(4)}`,
          steps,
        ),
    })
    const top1 = options.test
      ? await testAccuracy(gpu, progress, badImages, prepared, outcome)
      : null
    progress.stop()
    const report = {
      run: folder,
      epochs: outcome.steps / Math.floor((config.trainImages - config.holdOut) / config.batch),
      steps: outcome.steps,
      loss: finalLoss(outcome),
      top1,
      imagesPerSecond: outcome.imagesPerSecond,
      badImages: badImages.count,
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
  badImages: BadImages,
  { dataset, config }: { dataset: ImageDataset; config: CompleteConfig },
  { model }: TrainOutcome,
): Promise<number | null> {
  if (!dataset.test) return null
  const task = progress.task('Testing', dataset.test.count, 'images')
  const input = imageInput(gpu, dataset, dataset.test, config, badImages.add)
  try {
    return await accuracy(gpu, model, input, (done) => task.update(done))
  } finally {
    input.release()
  }
}

function whyUntested({ test }: Options): string {
  return test ? 'the data set has no test images' : '--no-test was given'
}

/** Mean loss of the last epoch, or of the steps where there is none. */
function finalLoss({ metrics }: TrainOutcome): number {
  const epoch = metrics.findLast((line) => 'epoch' in line)
  if (epoch) return epoch.loss
  return metrics.reduce((sum, { loss }) => sum + loss, 0) / metrics.length
}
