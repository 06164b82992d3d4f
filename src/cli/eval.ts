import process from 'node:process'
import { Command, Option } from 'commander'
import {
  calibrationOf,
  fitTemperature,
  scaleProbabilities,
  topCount,
} from '../analysis/calibration.ts'
import { type ImageDataset, subset } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { Objective } from '../losses/objective.ts'
import type { CompleteConfig } from '../train/config.ts'
import { imageInput } from '../train/decodedInput.ts'
import { holdOut, type ImageInput } from '../train/input.ts'
import { type LoadedRun, loadRun } from '../train/loadRun.ts'
import { type CollectedLogits, collectLogits, rankedClasses } from '../train/logits.ts'
import { BadImages } from './badImages.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { openImages } from './prepareTraining.ts'
import { Progress } from './progress.ts'
import { argumentOf, parseSetting } from './trainSettings.ts'

interface Options {
  readonly dataset?: string
  readonly split: 'test' | 'train'
  readonly onBadImage?: 'skip' | 'refuse'
  readonly background?: boolean
  readonly unsafeFast?: boolean
  readonly json?: boolean
}

export function evalCommand(): Command {
  return new Command('eval')
    .description('accuracy and calibration of a run on a data set')
    .argument('<RUN>', 'run folder')
    .option('--dataset <D>', 'default: the one that the run was trained on')
    .addOption(
      new Option('--split <SPLIT>', 'of the data set; one that has a single split is taken whole')
        .choices(['test', 'train'])
        .default('test'),
    )
    .addOption(
      new Option(
        `--on-bad-image ${argumentOf('onBadImage')}`,
        'a file that gives no image; default: as the run was asked for',
      ).argParser((text) => parseSetting('onBadImage', text)),
    )
    .option(
      '--background',
      'leave out class 0 of the run, which no image is of (D8); the classes of a data set that lacks it are the others in order',
    )
    .option('--unsafe-fast', "turn the driver's index clamping off")
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(folder: string, options: Options): Promise<void> {
  const progress = new Progress()
  const gpu = await openTunedGpu({ unsafeFast: !!options.unsafeFast })
  try {
    const loaded = await loadRun(gpu, folder, { background: !!options.background })
    const { onBadImage = loaded.config.onBadImage } = options
    const config = { ...loaded.config, onBadImage }
    const name = options.dataset ?? config.dataset
    const dataset = await openImages(name, config)
    const source = options.split === 'test' ? (dataset.test ?? dataset.train) : dataset.train
    const badImages = new BadImages(progress)
    const input = imageInput(gpu, dataset, source, config, badImages.add)
    const evaluated = await collect(gpu, progress, loaded, input, dataset.classes, 'Evaluating')
    const held = await heldOutLogits(gpu, progress, loaded, dataset, name)
    const report = { ...describe(loaded.objective, evaluated, held), badImages: badImages.count }
    progress.stop()
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : text(folder, report))
  } finally {
    progress.stop()
    gpu.close()
  }
}

async function collect(
  gpu: Gpu,
  progress: Progress,
  { model, objective }: LoadedRun,
  input: ImageInput,
  classes: number,
  task: string,
): Promise<CollectedLogits> {
  const bar = progress.task(task, input.count, 'images')
  try {
    const found = await collectLogits(gpu, model, input, (done) => bar.update(done))
    // Where the data set lacks the background class, its class 0 is the run's class 1.
    const shift = objective.background && classes === model.classes - 1 ? 1 : 0
    const most = found.labels.reduce((a, b) => Math.max(a, b), 0)
    if (found.labels.length === 0) throw new Error('none of the images could be read')
    if (most + shift >= model.classes)
      throw new Error(`label ${most} is in the data set, but the run has ${model.classes} classes`)
    if (!objective.background) return found
    const labels = found.labels.map((label) => label + shift)
    if (labels.includes(0))
      throw new Error('an image has label 0, expected none of the background class')
    return { logits: found.logits, labels }
  } finally {
    bar.end()
    input.release()
  }
}

/** What the run says of the images that it held out: the temperature is fitted on these. */
function heldOutLogits(
  gpu: Gpu,
  progress: Progress,
  loaded: LoadedRun,
  dataset: ImageDataset,
  name: string,
): Promise<CollectedLogits> | undefined {
  const { config } = loaded
  if (config.holdOut === 0 || name !== config.dataset) return undefined
  const { heldOut } = holdOut(dataset.train.count, config.holdOut, config.seed)
  const part = subset(dataset.train, heldOut)
  const input = imageInput(gpu, dataset, part, config as CompleteConfig, () => {})
  return collect(gpu, progress, loaded, input, dataset.classes, 'Fitting the temperature')
}

type Report = Record<string, unknown> & { readonly n: number; readonly top1: number }

/** Accuracy and calibration; what can't be defined is null, with the reason under `undefined`. */
function describe(
  objective: Objective,
  evaluated: CollectedLogits,
  held: CollectedLogits | undefined,
): Report {
  const { labels, scores, classes } = rankedClasses(objective, evaluated)
  const n = labels.length
  const share = (k: number) => topCount(scores, labels, classes, k) / n
  const accuracy = { n, top1: share(1), top5: share(Math.min(5, classes)) }
  const unknown = { nll: null, ece: null, temperature: null, nllScaled: null, eceScaled: null }
  const p = objective.logProbabilities(evaluated.logits)
  if (!p) {
    const reason = `the paper defines no probabilities for ${objective.name}`
    const reasons = Object.fromEntries(Object.keys(unknown).map((key) => [key, reason]))
    return { ...accuracy, ...unknown, undefined: reasons }
  }
  const calibration = calibrationOf(p, labels, classes)
  const temperatureFrom = held ? 'held-out images' : 'the evaluated images'
  const fitted = held
    ? fitTemperature(
        objective.logProbabilities(held.logits)!,
        rankedClasses(objective, held).labels,
        classes,
      )
    : fitTemperature(p, labels, classes)
  if ('reason' in fitted) {
    const { temperature, nllScaled, eceScaled } = unknown
    const reasons = {
      temperature: fitted.reason,
      nllScaled: fitted.reason,
      eceScaled: fitted.reason,
    }
    const rest = { temperature, nllScaled, eceScaled, temperatureFrom }
    return { ...accuracy, ...calibration, ...rest, undefined: reasons }
  }
  const { temperature } = fitted
  const scaled = calibrationOf(scaleProbabilities(p, classes, temperature), labels, classes)
  return {
    ...accuracy,
    ...calibration,
    temperature,
    nllScaled: scaled.nll,
    eceScaled: scaled.ece,
    temperatureFrom,
  }
}

function text(folder: string, { undefined: reasons, ...report }: Report): string {
  const rows = Object.entries(report).map(([key, value]) => {
    const shown = value ?? `undefined: ${(reasons as Record<string, string>)[key]}`
    return `  ${key.padEnd(16)}${typeof shown === 'number' ? Number(shown.toPrecision(5)) : shown}\n`
  })
  return `${folder}\n${rows.join('')}`
}
