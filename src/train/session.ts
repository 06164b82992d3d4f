import { mixTargets } from '../data/augment/mixup.ts'
import { TrainingOrder } from '../data/batches.ts'
import { readSafetensors, writeSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { Pacer } from '../gpu/pacer.ts'
import type { Objective } from '../losses/objective.ts'
import type { ResNet } from '../nn/resnet.ts'
import { loadStateDict, readStateDict, type StoredTensor } from '../nn/stateDict.ts'
import { emaWeight } from '../optim/ema.ts'
import { learningRate } from '../optim/schedule.ts'
import { Sgd } from '../optim/sgd.ts'
import {
  loadCheckpoint,
  readCheckpointWeights,
  saveCheckpoint,
  type TrainState,
} from './checkpoint.ts'
import type { CompleteConfig } from './config.ts'
import { accuracy } from './evaluate.ts'
import type { BatchRequest, ImageInput, ReadyBatch } from './input.ts'
import { MetricsLog } from './metricsLog.ts'
import { type TrainHooks, TrainingInterrupted, type TrainOutcome } from './outcome.ts'
import { type RunFolder, WEIGHTS } from './runFolder.ts'
import { TrainStep } from './trainStep.ts'

const REPORT_MILLISECONDS = 2000

/** What a run is made of. */
export interface Run {
  readonly input: ImageInput
  readonly heldOut: ImageInput | undefined
  readonly objective: Objective
  readonly config: CompleteConfig
  readonly folder: RunFolder
  readonly model: ResNet
  readonly hooks: TrainHooks
  /** The step to stop after. */
  readonly last: number
}

type Result = Omit<TrainOutcome, 'model' | 'reused'>

/**
 * Takes the steps that are left after the newest checkpoint and writes the final weights, which are
 * then those of the model too.
 */
export async function takeSteps(gpu: Gpu, run: Run): Promise<Result> {
  const session = new Session(gpu, run)
  try {
    await session.begin()
    return await session.takeSteps()
  } finally {
    session.release()
  }
}

class Session {
  readonly #state: TrainState
  readonly #order: TrainingOrder
  /** The network that is evaluated: with averaged weights, or the one that is trained. */
  readonly #evaluated: ResNet
  readonly #pacer: Pacer
  #step!: TrainStep
  #log!: MetricsLog
  #first = 0
  /** Batches that batch norm saw before the run's first step. */
  #trackedBefore = 0
  #savedStep = -1
  /** Whether the held-out accuracy has not risen for long enough. */
  #stops = false
  #savedAt = performance.now()

  constructor(
    private readonly gpu: Gpu,
    private readonly run: Run,
  ) {
    const { config, model, input } = run
    const optimiser = new Sgd(gpu, model.parameters.groups, config)
    this.#evaluated = config.ema > 0 ? model.withoutMemory() : model
    if (this.#evaluated !== model) this.#evaluated.parameters.allocateCopy(gpu, model.parameters)
    const averages = this.#evaluated === model ? undefined : this.#evaluated.parameters
    this.#state = { parameters: model.parameters, averages, optimiser }
    this.#order = new TrainingOrder({
      count: input.count,
      batchSize: config.batch,
      seed: config.seed,
      shuffle: config.shuffle === 'epoch',
    })
    this.#pacer = new Pacer(gpu)
  }

  /** Loads the newest checkpoint, or the weights to start from, and records the step. */
  async begin(): Promise<void> {
    const { gpu, run } = this
    const { config, folder, model, objective, input } = run
    const position = await loadCheckpoint(gpu, folder.folder, this.#state)
    this.#first = position?.step ?? 0
    const parts = config.batch / config.microBatch
    if (position) this.#trackedBefore = position.batchesTracked - parts * position.step
    else if (config.weights) await this.#loadInitialWeights(config.weights)
    await folder.log(position ? `resumed after step ${this.#first}` : 'started')
    this.#log = new MetricsLog(
      await folder.metrics(this.#first),
      { step: this.#first, epochLosses: position?.epochLosses ?? [] },
      {
        objective: config.objective,
        stepsPerEpoch: this.#order.batchesPerEpoch,
        rateOf: (at) => this.#rate(at),
        logEvery: config.logEvery,
      },
    )
    this.#stops = this.#stopsEarly()
    const { averages, optimiser } = this.#state
    const shape = [config.microBatch, ...input.shape] as const
    this.#step = await TrainStep.record(gpu, model, objective, optimiser, shape, {
      seed: config.seed,
      firstStep: this.#first,
      microBatches: parts,
      lossScale: config.lossScale,
      softTargets: config.mixup > 0,
      ...(averages ? { averages } : {}),
    })
  }

  async takeSteps(): Promise<Result> {
    const batches = this.run.input.trainingBatches(this.#requests(this.#first))
    try {
      return await this.#takeStepsOn(batches)
    } finally {
      await batches.return()
    }
  }

  async #takeStepsOn(batches: AsyncGenerator<ReadyBatch>): Promise<Result> {
    const { config, hooks, folder, last } = this.run
    const start = performance.now()
    let reportedAt = start
    let reportedStep = this.#first
    let at = this.#first
    for (; at < last && !this.#stops; at++) {
      if (hooks.signal?.aborted) {
        await this.#checkpoint(at)
        await folder.log(`interrupted after step ${at}`)
        throw new TrainingInterrupted(at)
      }
      await this.#takeStep(at, batches)
      const isReported = performance.now() - reportedAt >= REPORT_MILLISECONDS || at + 1 === last
      if (isReported) {
        await this.#pacer.finish()
        const loss = this.#log.add(await this.#step.losses())
        const elapsed = (performance.now() - reportedAt) / 1000
        hooks.onProgress?.({
          step: at + 1,
          steps: last,
          loss,
          imagesPerSecond: ((at + 1 - reportedStep) * config.batch) / elapsed,
        })
        reportedAt = performance.now()
        reportedStep = at + 1
      }
      if ((at + 1) % this.#order.batchesPerEpoch === 0) {
        await this.#endEpoch((at + 1) / this.#order.batchesPerEpoch)
        await this.#checkpoint(at + 1)
      } else if (isReported && this.#isCheckpointDue()) await this.#checkpoint(at + 1)
    }
    await this.#checkpoint(at)
    const seconds = (performance.now() - start) / 1000
    const imagesPerSecond = ((at - this.#first) * config.batch) / seconds
    await this.#writeWeights(at, { seconds, imagesPerSecond })
    await folder.log(`finished ${at} steps`)
    return { metrics: this.#log.lines, steps: at, seconds, imagesPerSecond }
  }

  release(): void {
    this.#step?.dispose()
    this.#state.optimiser.release()
    this.#state.averages?.release()
  }

  #rate(at: number): number {
    const { config } = this.run
    const stepsPerEpoch = this.#order.batchesPerEpoch
    return learningRate(at, { ...config, stepsPerEpoch, totalSteps: config.steps })
  }

  /** The micro-batches from a step on. */
  *#requests(first: number): Generator<BatchRequest> {
    const { config, last } = this.run
    const { batch, microBatch } = config
    for (let at = first; at < last; at++) {
      const examples = this.#order.batch(at)
      const epoch = Math.floor(at / this.#order.batchesPerEpoch)
      for (let start = 0; start < batch; start += microBatch) {
        const draw = (at * batch + start) / microBatch
        yield { examples: examples.subarray(start, start + microBatch), epoch, draw }
      }
    }
  }

  async #takeStep(at: number, batches: AsyncGenerator<ReadyBatch>): Promise<void> {
    const { config, objective } = this.run
    const rates = {
      rate: this.#rate(at),
      averageWeight: config.ema > 0 ? emaWeight(at, config) : 0,
    }
    for (let part = 0; part * config.microBatch < config.batch; part++) {
      const next = await batches.next()
      if (next.done) throw new Error(`the images ended before step ${at + 1}`)
      const { labels, mixing, write } = next.value
      await write(this.#step.images)
      const targets = mixing ? mixTargets(labels, objective.classes, mixing) : labels
      await this.#pacer.submit(() => this.#step.take(part, targets, rates))
    }
  }

  async #endEpoch(epoch: number): Promise<void> {
    const { heldOut, hooks } = this.run
    await this.#pacer.finish()
    this.#log.add(await this.#step.losses())
    const measures = await hooks.onEpoch?.(this.#evaluated, epoch)
    if (measures) this.#log.addToEpoch({ measures })
    if (!heldOut) return
    this.#log.addToEpoch({ top1: await accuracy(this.gpu, this.#evaluated, heldOut) })
    this.#stops = this.#stopsEarly()
  }

  /** The first epoch of the highest held-out accuracy, with the epochs since. */
  #best(): { readonly step: number; readonly epochsSince: number } | undefined {
    const epochs = this.#log.lines.flatMap((line) =>
      'epoch' in line && line.top1 !== undefined ? [{ step: line.step, top1: line.top1 }] : [],
    )
    if (epochs.length === 0) return undefined
    const highest = Math.max(...epochs.map((epoch) => epoch.top1))
    const at = epochs.findIndex((epoch) => epoch.top1 === highest)
    return { step: epochs[at]!.step, epochsSince: epochs.length - 1 - at }
  }

  #stopsEarly(): boolean {
    const { earlyStop } = this.run.config
    return earlyStop !== undefined && (this.#best()?.epochsSince ?? 0) >= earlyStop
  }

  #isCheckpointDue(): boolean {
    const { checkpointMinutes = 10 } = this.run.hooks
    return performance.now() - this.#savedAt >= 60_000 * checkpointMinutes
  }

  async #checkpoint(at: number): Promise<void> {
    if (this.#savedStep === at) return
    const { config, folder, hooks } = this.run
    await this.#pacer.finish()
    this.#log.add(await this.#step.losses())
    // First the metrics: lines past the newest checkpoint are dropped when the run goes on.
    await folder.writeMetrics(this.#log.lines)
    const position = {
      step: at,
      batchesTracked: this.#tracked(at),
      epochLosses: this.#log.epochLosses,
    }
    const keep = hooks.keepCheckpoints ?? 2
    const best = this.#best()?.step
    const options = { seed: config.seed, keep, best }
    await saveCheckpoint(this.gpu, folder.folder, this.#state, position, options)
    this.#savedStep = at
    this.#savedAt = performance.now()
  }

  #tracked(step: number): number {
    const { batch, microBatch } = this.run.config
    return this.#trackedBefore + (step * batch) / microBatch
  }

  async #loadInitialWeights(file: string): Promise<void> {
    const { gpu, run } = this
    const { tensors } = await readSafetensors(file)
    const state = tensors as ReadonlyMap<string, StoredTensor>
    try {
      loadStateDict(gpu, run.model.parameters, state)
      if (this.#state.averages) loadStateDict(gpu, this.#state.averages, state)
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`)
    }
    this.#trackedBefore = Number(tensors.get('bn1.num_batches_tracked')?.data[0] ?? 0)
  }

  async #writeWeights(at: number, timing: Pick<Result, 'seconds' | 'imagesPerSecond'>) {
    const { gpu, run } = this
    const { config, folder, model, last } = run
    const best = config.earlyStop === undefined ? undefined : this.#best()?.step
    const isBest = best === undefined || best === at
    const weights = isBest
      ? await readStateDict(gpu, this.#evaluated.parameters, this.#tracked(at))
      : await readCheckpointWeights(folder.folder, best)
    if (!isBest || this.#evaluated !== model) loadStateDict(gpu, model.parameters, weights)
    await writeSafetensors(folder.file(WEIGHTS), weights, {
      format: 'pt',
      step: String(at),
      stoppedEarly: String(at < last),
      seconds: String(timing.seconds),
      imagesPerSecond: String(timing.imagesPerSecond),
    })
  }
}
