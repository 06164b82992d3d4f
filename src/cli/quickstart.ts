import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { inputSize } from '../data/imageInput.ts'
import { openDataset } from '../data/registry.ts'
import {
  quickstart,
  quickstartObjectives,
  quickstartRecipe,
  type StudyNetwork,
} from '../study/quickstart.ts'
import { renderReport } from '../study/report/renderReport.ts'
import { formatTable } from '../study/report/textTable.ts'
import { TrainingInterrupted } from '../train/trainer.ts'
import { interruptSignal } from './interrupt.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { Progress, type TaskProgress } from './progress.ts'
import { Tasks } from './tasks.ts'
import { tuneAtFirstUse } from './tuneAtFirstUse.ts'
import { packageVersion, webgpuVersion } from './version.ts'

interface Options {
  readonly out: string
  readonly dataset: string
  readonly objectives: readonly string[]
  readonly size: 'subset' | 'full' | 'auto'
  readonly seed: number
  readonly steps: number
  readonly batch: number
  readonly width: number
  readonly json?: boolean
  readonly unsafeFast?: boolean
}

/** Names of objectives, or `all`. */
function objectiveList(text: string): readonly string[] {
  return text === 'all' ? quickstartObjectives : text.split(',')
}

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value))
    throw new InvalidArgumentError('expected a number')
  return value
}

export function quickstartCommand(): Command {
  return new Command('quickstart')
    .description(
      'train ResNet-50 with each of the nine objectives and report what they did to the features',
    )
    .option('--out <DIR>', 'folder of the runs and the report', 'runs/quickstart')
    .option('--dataset <NAME>', 'fashion-mnist or idx:PATH', 'fashion-mnist')
    .option(
      '--size <SIZE>',
      'fashion-mnist: subset, full or auto (full where it is installed)',
      'auto',
    )
    .addOption(
      new Option('--objectives <LIST>', 'at least two names with commas between, or all nine: all')
        .argParser(objectiveList)
        .default(quickstartObjectives, 'all'),
    )
    .option('--seed <N>', 'seed of the weights and of the data order', number, 1)
    .option('--steps <N>', 'training steps an objective', number, quickstartRecipe.steps)
    .option('--batch <N>', 'images a step', number, quickstartRecipe.batch)
    .option('--width <X>', 'width multiplier of ResNet-50', number, quickstartRecipe.width)
    .option('--unsafe-fast', "turn the driver's index clamping off")
    .option('--json', 'print the result as one JSON object')
    .action(run)
}

async function run(options: Options): Promise<void> {
  const progress = new Progress()
  const signal = interruptSignal(progress)
  const { dataset: name, size, out } = options
  const dataset = await openDataset(name, name === 'fashion-mnist' ? { size } : {})
  const gpu = await openTunedGpu({
    unsafeFast: !!options.unsafeFast,
    onCompile: (done, total) => tasks.update('Compiling kernels', done, total, 'kernels'),
  })
  progress.say(
    `${gpu.profile.driver}; ${dataset.train.count} training and ${dataset.test.count} test images of ${dataset.name}`,
  )
  const tasks = new Tasks(progress)
  const overall = new Overall(progress, options.objectives.length)
  try {
    const { batch, width } = options
    const sizes = {
      batch,
      size: inputSize(dataset, false, {}).height,
      width,
      classes: dataset.classes,
    }
    await tuneAtFirstUse(gpu, sizes, progress)
    const result = await quickstart(gpu, {
      ...options,
      dataset,
      command: commandLine(),
      versions: {
        gramgrad: packageVersion(),
        node: process.versions.node,
        webgpu: webgpuVersion(),
      },
      signal,
      onTrain: (network, { step, steps, loss, imagesPerSecond }) => {
        tasks.update(
          `Training ${network.label}`,
          step,
          steps,
          'steps',
          `${imagesPerSecond.toFixed(0)} images/s, loss ${loss.toPrecision(3)}`,
        )
        overall.update(network, step / steps)
      },
      onTest: (network, done, total) => {
        tasks.update(
          network ? `Testing ${network.label}` : 'Comparing layers',
          done,
          total,
          'images',
        )
        if (!network) overall.compare(done / total)
      },
    })
    const files = await renderReport(result, out)
    progress.stop()
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
    else process.stdout.write(`\n${formatTable(result)}\n`)
    const report = files.find((file) => file.endsWith('.html'))!
    process.stderr.write(`\nReport: ${pathToFileURL(report).href}\n`)
  } catch (error) {
    progress.stop()
    if (error instanceof TrainingInterrupted)
      process.stderr.write(
        `Stopped after step ${error.step}; the same command goes on from there.\n`,
      )
    throw error
  } finally {
    gpu.close()
  }
}

/** What comparing the layers of one network costs, in trainings of one. */
const COMPARISON = 0.1

/** The whole job's bar, in networks trained, with the comparison at its end. */
class Overall {
  #task: TaskProgress | undefined
  readonly #total: number

  constructor(
    private readonly progress: Progress,
    private readonly networks: number,
  ) {
    this.#total = networks * (1 + COMPARISON)
  }

  /** A share of a network's training is done; what earlier runs left is not heard of. */
  update({ number, of }: StudyNetwork, share: number): void {
    this.#task ??= this.progress.task('All networks', this.#total, '')
    this.#task.update(number - 1 + share, `network ${number} of ${of}`)
  }

  /** A share of the comparison is done. */
  compare(share: number): void {
    this.#task?.update(this.networks * (1 + COMPARISON * share), 'comparing layers')
  }
}

function commandLine(): string {
  const extra = process.argv.slice(3)
  return extra.length > 0 ? `npm start -- ${extra.join(' ')}` : 'npm start'
}
