import { existsSync } from 'node:fs'
import { gatherLabels, TrainingOrder } from '../data/batches.ts'
import type { Dataset } from '../data/dataset.ts'
import { ImagePreparer } from '../data/prepareImages.ts'
import { readSafetensors, writeSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { Pacer } from '../gpu/pacer.ts'
import type { Objective } from '../losses/objective.ts'
import { ResNet } from '../nn/resnet.ts'
import { loadStateDict, readStateDict, type StoredTensor } from '../nn/stateDict.ts'
import { learningRate } from '../optim/schedule.ts'
import { Sgd } from '../optim/sgd.ts'
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts'
import { checkConfig, type TrainConfig } from './config.ts'
import { MetricsLog } from './metricsLog.ts'
import { type MetricsLine, RunFolder } from './runFolder.ts'
import { TrainStep } from './trainStep.ts'

/** Where a run stands; told every two seconds. */
export interface TrainProgress {
  readonly step: number
  readonly steps: number
  /** Mean loss of the steps since the last report. */
  readonly loss: number
  readonly imagesPerSecond: number
}

export interface TrainHooks {
  readonly onProgress?: (progress: TrainProgress) => void
  /** When aborted, the run writes a checkpoint and throws `TrainingInterrupted`. */
  readonly signal?: AbortSignal
}

export interface TrainOutcome {
  readonly model: ResNet
  readonly metrics: readonly MetricsLine[]
  /** Seconds spent on steps, over all sessions of the run that this call saw. */
  readonly seconds: number
  readonly imagesPerSecond: number
  /** True when the run was finished before and nothing was trained. */
  readonly reused: boolean
}

/** Training stopped on request; the run can be resumed. */
export class TrainingInterrupted extends Error {
  override name = 'TrainingInterrupted'
  constructor(readonly step: number) {
    super(`training was interrupted after step ${step}`)
  }
}

const REPORT_MILLISECONDS = 2000
const WEIGHTS = 'weights.safetensors'

/**
 * Trains a ResNet-50 in a run folder, or goes on with what the folder holds: bit for bit as if it
 * had never stopped.
 *
 * @throws TrainingInterrupted when the signal aborts
 * @throws Error on an option out of range, a data set that does not fit or an unwritable folder,
 *   before anything is computed; and on a loss that is no longer finite
 */
export async function train(
  gpu: Gpu,
  dataset: Dataset,
  objective: Objective,
  config: TrainConfig,
  runFolder: string,
  hooks: TrainHooks = {},
): Promise<TrainOutcome> {
  checkConfig(config, dataset.train.count)
  const preparer = new ImagePreparer(dataset)
  const model = new ResNet({
    classes: dataset.classes,
    width: config.width,
    head: objective,
  })
  const folder = new RunFolder(runFolder)
  const resumes = await folder.prepare(config)
  model.parameters.allocate(gpu, config.seed)
  try {
    if (resumes && existsSync(folder.file(WEIGHTS))) {
      const timing = await loadWeights(gpu, folder.file(WEIGHTS), model)
      return { model, metrics: await folder.metrics(config.steps), ...timing, reused: true }
    }
    const found = await takeSteps(gpu, {
      dataset,
      preparer,
      objective,
      config,
      folder,
      model,
      hooks,
    })
    return { model, ...found, reused: false }
  } catch (error) {
    model.parameters.release()
    throw error
  }
}

type Timing = Pick<TrainOutcome, 'seconds' | 'imagesPerSecond'>

async function loadWeights(gpu: Gpu, file: string, model: ResNet): Promise<Timing> {
  const { tensors, metadata } = await readSafetensors(file)
  try {
    loadStateDict(gpu, model.parameters, tensors as ReadonlyMap<string, StoredTensor>)
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
  const { seconds, imagesPerSecond } = metadata
  return { seconds: Number(seconds), imagesPerSecond: Number(imagesPerSecond) }
}

interface Run {
  readonly dataset: Dataset
  readonly preparer: ImagePreparer
  readonly objective: Objective
  readonly config: TrainConfig
  readonly folder: RunFolder
  readonly model: ResNet
  readonly hooks: TrainHooks
}

/** Takes the steps that are left after the newest checkpoint and writes the final weights. */
async function takeSteps(gpu: Gpu, run: Run): Promise<Timing & Pick<TrainOutcome, 'metrics'>> {
  const { dataset, preparer, config, folder, model, hooks } = run
  const optimiser = new Sgd(gpu, model.parameters.groups, config)
  let step: TrainStep | undefined
  try {
    const first = await loadCheckpoint(gpu, folder.folder, model, optimiser)
    await folder.log(first > 0 ? `resumed after step ${first}` : 'started')
    step = await recordStep(gpu, run, optimiser, first)
    const order = new TrainingOrder({
      count: dataset.train.count,
      batchSize: config.batch,
      seed: config.seed,
    })
    const rateOf = (at: number) => learningRate(at, { ...config, totalSteps: config.steps })
    const log = new MetricsLog(await folder.metrics(first), first, {
      objective: config.objective,
      stepsPerEpoch: order.batchesPerEpoch,
      rateOf,
    })
    let saved = -1
    const checkpoint = async (at: number): Promise<void> => {
      if (saved === at) return
      log.add(await step!.losses())
      // First the metrics: lines past the newest checkpoint are dropped when the run goes on.
      await folder.writeMetrics(log.lines)
      await saveCheckpoint(gpu, folder.folder, model, optimiser, at)
      saved = at
    }

    const images = new Float32Array(preparer.length(config.batch))
    const labels = new Uint32Array(config.batch)
    const start = performance.now()
    let reportedAt = start
    let reportedStep = first
    const pacer = new Pacer(gpu)
    for (let at = first; at < config.steps; at++) {
      if (hooks.signal?.aborted) {
        await checkpoint(at)
        await folder.log(`interrupted after step ${at}`)
        throw new TrainingInterrupted(at)
      }
      const batch = order.batch(at)
      preparer.prepare(dataset.train.images, batch, images)
      gatherLabels(dataset.train.labels, batch, labels)
      await pacer.submit(() => step!.run(images, labels, rateOf(at)))
      const now = performance.now()
      if (now - reportedAt >= REPORT_MILLISECONDS || at + 1 === config.steps) {
        await pacer.finish()
        const loss = log.add(await step.losses())
        const elapsed = (performance.now() - reportedAt) / 1000
        hooks.onProgress?.({
          step: at + 1,
          steps: config.steps,
          loss,
          imagesPerSecond: ((at + 1 - reportedStep) * config.batch) / elapsed,
        })
        reportedAt = performance.now()
        reportedStep = at + 1
      }
      if ((at + 1) % order.batchesPerEpoch === 0) await checkpoint(at + 1)
    }
    await checkpoint(config.steps)
    const seconds = (performance.now() - start) / 1000
    const imagesPerSecond = ((config.steps - first) * config.batch) / seconds
    await writeSafetensors(
      folder.file(WEIGHTS),
      await readStateDict(gpu, model.parameters, config.steps),
      { format: 'pt', seconds: String(seconds), imagesPerSecond: String(imagesPerSecond) },
    )
    await folder.log(`finished ${config.steps} steps`)
    return { metrics: log.lines, seconds, imagesPerSecond }
  } finally {
    step?.dispose()
    optimiser.release()
  }
}

function recordStep(gpu: Gpu, run: Run, optimiser: Sgd, firstStep: number): Promise<TrainStep> {
  const { preparer, config, model, objective } = run
  const { height, width, channels } = preparer
  const shape = [config.batch, height, width, channels] as const
  return TrainStep.record(gpu, model, objective, optimiser, shape, { seed: config.seed, firstStep })
}
