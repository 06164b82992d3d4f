import path from 'node:path'
import process from 'node:process'
import { Command, InvalidArgumentError } from 'commander'
import { writeMachine } from '../study/comparison/machine.ts'
import { writeStudyReport } from '../study/comparison/studyReport.ts'
import { readTwinResults } from '../study/comparison/twinResults.ts'
import { checkDisk, estimateRun, imagesToLookAt } from '../study/plan/estimate.ts'
import type { StudyData } from '../study/plan/oneRun.ts'
import { type PlannedRun, plannedRuns } from '../study/plan/plannedRuns.ts'
import { type Shard, selectRuns, takeRuns, unfinished } from '../study/plan/runStudy.ts'
import { readStudyFile } from '../study/plan/studyFile.ts'
import { inputOf } from '../train/runSettings.ts'
import { TrainingInterrupted } from '../train/trainer.ts'
import { BadImages } from './badImages.ts'
import { interruptSignal } from './interrupt.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { integer } from './parse.ts'
import { Progress } from './progress.ts'
import { openStudyData } from './studyData.ts'
import { presets, studyFile } from './studyFiles.ts'
import { Tasks } from './tasks.ts'
import { tuneAtFirstUse } from './tuneAtFirstUse.ts'
import { packageVersion, webgpuVersion } from './version.ts'
import { startWorkers } from './workers.ts'

interface Options {
  readonly out?: string
  readonly data?: string
  readonly only?: string
  readonly shard?: Shard
  readonly jobs?: number
  readonly json?: boolean
  readonly unsafeFast?: boolean
  readonly twin?: string
  readonly report?: string
}

export function studyCommand(): Command {
  const study = new Command('study').description(
    'train every objective from several seeds, look inside, and report',
  )
  const commands = [
    new Command('run')
      .description(
        'take the runs that are not finished; any number of processes may do so together',
      )
      .option('--only <RUN>', 'this run only')
      .option('--shard <I/N>', 'every N-th run, from the I-th on', parseShard)
      .option('--jobs <N>', 'processes that take runs at the same time', integer(1), 1)
      .option('--unsafe-fast', "turn the driver's index clamping off")
      .action(run),
    new Command('plan')
      .description('show what would run, how long and how much disk it takes')
      .action(plan),
    new Command('report')
      .description('write tables and figures of the finished runs, beside the paper’s')
      .option('--twin <JSON>', 'the same runs by PyTorch, as reference/twinStudy.py writes them')
      .option('--report <DIR>', 'where to; default: the folder report in that of the study')
      .action(report),
  ]
  for (const command of commands)
    study.addCommand(
      command
        .argument('<FILE>', `the study, a TOML file, or one of ${presets().join(', ')}`)
        .option('--out <DIR>', 'folder of the study; default: runs/ and the name of the file')
        .option(
          '--data <DIR>',
          'folder that relative paths of data sets start from; default: what the file says under data',
        )
        .option('--json', 'print one JSON object'),
    )
  return study
}

/** `2/9`: the second of nine. */
function parseShard(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? []
  if (!index || !count || index > count)
    throw new InvalidArgumentError('expected I/N with I from 1 to N, such as 2/9')
  return { index, count }
}

interface Opened {
  readonly data: StudyData
  readonly runs: readonly PlannedRun[]
}

/** Everything that can be wrong before a device is opened is found here. */
async function open(given: string, { out, data: base }: Options): Promise<Opened> {
  const file = studyFile(given)
  const study = await readStudyFile(file)
  const { dataset, transfer } = await openStudyData(file, study, base)
  const runs = named(file, () => plannedRuns(study, dataset))
  const folder = out ?? path.join('runs', path.parse(file).name)
  return { data: { study, dataset, transfer, out: folder }, runs }
}

function named<T>(file: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
}

async function run(file: string, options: Options): Promise<void> {
  const { data, runs } = await open(file, options)
  named(file, () => selectRuns(runs, options))
  await checkDisk(data, await unfinished(data, runs))
  const workers = startWorkers((options.jobs ?? 1) - 1, '--jobs')
  const progress = new Progress()
  const signal = interruptSignal(progress)
  const tasks = new Tasks(progress)
  const badImages = new BadImages(progress)
  const gpu = await openTunedGpu({
    unsafeFast: !!options.unsafeFast,
    onCompile: (done, total) => tasks.update('Compiling kernels', done, total, 'kernels'),
  })
  try {
    await writeMachine(data.out, {
      command: `npx gramgrad ${process.argv.slice(2).join(' ')}`,
      versions: {
        gramgrad: packageVersion(),
        node: process.versions.node,
        webgpu: webgpuVersion(),
      },
      device: {
        adapter: gpu.profile.driver,
        backend: gpu.profile.backend,
        software: gpu.profile.software,
      },
    })
    const { dataset } = data
    const [{ config }] = runs as [PlannedRun]
    const sizes = {
      batch: config.microBatch,
      size: inputOf(config, dataset).height,
      width: config.width,
      classes: dataset.classes,
    }
    await tuneAtFirstUse(gpu, sizes, progress)
    await takeRuns(gpu, data, runs, options, {
      signal,
      onJob: (name, done, total) => progress.say(`Job ${done + 1} of ${total}: ${name}`),
      onWait: (others) =>
        progress.say(`Waiting for other processes: ${others.map(({ id }) => id).join(', ')}`),
      onTrain: ({ id }, { step, steps, loss, imagesPerSecond }) =>
        tasks.update(
          `Training ${id}`,
          step,
          steps,
          'steps',
          `${imagesPerSecond.toFixed(0)} images/s, loss ${loss.toPrecision(3)}`,
        ),
      onPhase: (phase, done, total) => tasks.update(phase, done, total, 'images'),
      onProblem: badImages.add,
    })
    await workers.finish()
    progress.stop()
    const left = await unfinished(data, runs)
    const { out } = data
    const summary = { runs: runs.length, done: runs.length - left.length, out }
    process.stdout.write(
      options.json
        ? `${JSON.stringify(summary)}\n`
        : `${summary.done} of ${summary.runs} runs are finished, in ${out}\n`,
    )
  } catch (error) {
    workers.interrupt()
    progress.stop()
    if (error instanceof TrainingInterrupted)
      process.stderr.write('Stopped; the same command goes on from there.\n')
    throw error
  } finally {
    gpu.close()
  }
}

async function plan(file: string, options: Options): Promise<void> {
  const { data, runs } = await open(file, options)
  const { out } = data
  const left = await unfinished(data, runs)
  const { minutes, lookingMinutes, megabytes, device } = await estimate(data, runs, left)
  const rows = runs.map((run) => ({ id: run.id, state: left.includes(run) ? 'to do' : 'done' }))
  const summary = {
    out,
    runs: rows,
    done: runs.length - left.length,
    minutesLeft: minutes,
    lookingMinutesLeft: lookingMinutes,
    megabytesLeft: megabytes,
    device,
  }
  if (options.json) process.stdout.write(`${JSON.stringify(summary)}\n`)
  else
    process.stdout.write(
      `${rows.map(({ id, state }) => `${state.padEnd(6)} ${id}`).join('\n')}\n\n${summary.done} of ${runs.length} runs are done in ${out}. The others take about ${minutes} min of training, ${lookingMinutes} min of looking at images otherwise, fits and Gram products besides, and ${megabytes} MB on ${device}.\n`,
    )
}

/** A forward pass takes about a third of a training step's time. */
const FORWARD_SHARE = 1 / 3

/** What these runs take on this device: they differ in their objective and their length only, so one is timed. */
async function estimate(data: StudyData, runs: readonly PlannedRun[], left: readonly PlannedRun[]) {
  const gpu = await openTunedGpu()
  try {
    const [first] = left
    const device = gpu.profile.driver
    if (!first) return { minutes: 0, lookingMinutes: 0, megabytes: 0, device }
    const { secondsPerStep, bytes } = await estimateRun(gpu, data.dataset, first)
    const steps = left.reduce((sum, { config }) => sum + config.steps, 0)
    const images = imagesToLookAt(data, runs, left)
    const secondsPerImage = (FORWARD_SHARE * secondsPerStep) / first.config.batch
    return {
      minutes: Math.ceil((steps * secondsPerStep) / 60),
      lookingMinutes: Math.ceil((images * secondsPerImage) / 60),
      megabytes: Math.ceil((left.length * bytes) / 1e6),
      device,
    }
  } finally {
    gpu.close()
  }
}

async function report(file: string, options: Options): Promise<void> {
  const { data, runs } = await open(file, options)
  const twin = options.twin === undefined ? undefined : await readTwinResults(options.twin)
  const folder = options.report ?? path.join(data.out, 'report')
  const progress = new Progress()
  const written = await writeStudyReport(data, runs, folder, twin, (message) =>
    progress.say(message),
  )
  progress.stop()
  const summary = {
    runs: runs.length,
    done: written.runs,
    report: written.files[0],
    findings: written.findings,
  }
  process.stdout.write(
    options.json
      ? `${JSON.stringify(summary)}\n`
      : `${written.findings.map(({ claim, verdict }) => `${verdict.padEnd(24)}${claim}`).join('\n')}\n\n${summary.done} of ${summary.runs} runs, in ${summary.report}\n`,
  )
}
