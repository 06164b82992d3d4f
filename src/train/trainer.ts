import { gatherLabels, TrainingOrder } from '../data/batches.ts'
import type { Dataset } from '../data/dataset.ts'
import { ImagePreparer } from '../data/prepareImages.ts'
import { readSafetensors, writeSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { Objective } from '../losses/objective.ts'
import { type ResNet, resnet50 } from '../nn/resnet.ts'
import { loadStateDict, readStateDict, type StoredTensor } from '../nn/stateDict.ts'
import { learningRate } from '../optim/schedule.ts'
import { Sgd } from '../optim/sgd.ts'
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts'
import { checkConfig, type TrainConfig } from './config.ts'
import { type MetricsLine, RunFolder } from './runFolder.ts'
import { TrainStep } from './trainStep.ts'

/** Where a run stands; told about once a second. */
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

const REPORT_MILLISECONDS = 1000
const WEIGHTS = 'weights.safetensors'

/**
 * Trains a ResNet-50 in a run folder, or goes on with what the folder holds: bit for bit as if it
 * had never stopped.
 *
 * @throws TrainingInterrupted when the signal aborts
 * @throws Error on an option out of range, a data set that does not fit, an unwritable folder or a
 *   loss that is no longer finite
 */
export async function train(
  gpu: Gpu,
  dataset: Dataset,
  objective: Objective,
  config: TrainConfig,
  runFolder: string,
  hooks: TrainHooks = {},
): Promise<TrainOutcome> {
  checkConfig(config)
  const order = new TrainingOrder({
    count: dataset.train.count,
    batchSize: config.batch,
    seed: config.seed,
  })
  const preparer = new ImagePreparer(dataset)
  const folder = new RunFolder(runFolder)
  const model = resnet50(gpu, { classes: dataset.classes, width: config.width, seed: config.seed })
  if (await folder.prepare(config)) {
    const weights = await readSafetensors(folder.file(WEIGHTS)).catch(() => undefined)
    if (weights) {
      loadStateDict(gpu, model.parameters, weights.tensors as ReadonlyMap<string, StoredTensor>)
      return {
        model,
        metrics: await folder.metrics(config.steps),
        seconds: Number(weights.metadata.seconds),
        imagesPerSecond: Number(weights.metadata.imagesPerSecond),
        reused: true,
      }
    }
  }
  const optimiser = new Sgd(gpu, model.parameters.groups, config)
  const first = await loadCheckpoint(gpu, runFolder, model, optimiser)
  const metrics = await folder.metrics(first)
  await folder.log(first > 0 ? `resumed after step ${first}` : 'started')
  const { height, width, channels } = preparer
  const step = await TrainStep.record(gpu, model, objective, optimiser, [
    config.batch,
    height,
    width,
    channels,
  ])
  const images = new Float32Array(preparer.length(config.batch))
  const labels = new Uint32Array(config.batch)
  const rateOf = (at: number) =>
    learningRate(at, { ...config, totalSteps: config.steps, warmupSteps: config.warmupSteps })

  let logged = first
  const collect = async (): Promise<number> => {
    const losses = await step.losses()
    let sum = 0
    for (const loss of losses) {
      if (!Number.isFinite(loss))
        throw new Error(
          `${config.objective}: the loss of step ${logged + 1} is ${loss}; a lower lr than ${config.lr} may help`,
        )
      metrics.push({ step: logged + 1, loss, lr: rateOf(logged) })
      sum += loss
      logged++
      if (logged % order.batchesPerEpoch === 0)
        metrics.push(epochLine(metrics, logged, order.batchesPerEpoch))
    }
    return sum / Math.max(1, losses.length)
  }
  const checkpoint = async (at: number): Promise<void> => {
    await collect()
    await saveCheckpoint(gpu, runFolder, model, optimiser, at)
    await folder.writeMetrics(metrics)
  }

  const start = performance.now()
  let reportedAt = start
  let reportedStep = first
  let running = Promise.resolve()
  for (let at = first; at < config.steps; at++) {
    if (hooks.signal?.aborted) {
      await checkpoint(at)
      await folder.log(`interrupted after step ${at}`)
      throw new TrainingInterrupted(at)
    }
    const batch = order.batch(at)
    preparer.prepare(dataset.train.images, batch, images)
    gatherLabels(dataset.train.labels, batch, labels)
    // One step runs while the next batch is prepared, and no more wait in the queue.
    await running
    step.run(images, labels, rateOf(at))
    running = gpu.submitted()
    const now = performance.now()
    if (now - reportedAt >= REPORT_MILLISECONDS || at + 1 === config.steps) {
      const loss = await collect()
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
  step.dispose()
  optimiser.release()
  return { model, metrics, seconds, imagesPerSecond, reused: false }
}

function epochLine(metrics: readonly MetricsLine[], step: number, length: number): MetricsLine {
  const losses = metrics.filter((line) => 'lr' in line && line.step > step - length)
  const loss = losses.reduce((sum, line) => sum + line.loss, 0) / losses.length
  return { epoch: step / length, step, loss }
}
