import { mkdir, statfs } from 'node:fs/promises'
import { mixTargets } from '../../data/augment/mixup.ts'
import { TrainingOrder } from '../../data/batches.ts'
import { fileError } from '../../data/files.ts'
import type { AnyDataset } from '../../data/imageSource.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { ResNet } from '../../nn/resnet.ts'
import { Sgd } from '../../optim/sgd.ts'
import type { CompleteConfig } from '../../train/config.ts'
import type { BatchRequest, ReadyBatch } from '../../train/input.ts'
import { networkOf } from '../../train/network.ts'
import { runInput } from '../../train/runInput.ts'
import { TrainStep } from '../../train/trainStep.ts'
import { meetsInitial, partnersOf } from './comparison.ts'
import type { StudyData } from './oneRun.ts'
import type { PlannedRun } from './plannedRuns.ts'

export interface RunEstimate {
  /** Seconds of one training step on this device now. */
  readonly secondsPerStep: number
  /** Bytes of a run folder: two checkpoints with momentum and averages, and the weights. */
  readonly bytes: number
}

/** Micro-batches before the clock starts, and those that are timed: for some seconds, so that decoding counts. */
const WARM_UP = 1
const FEWEST = 1
const MOST = 1000
const LEAST_SECONDS = 3
/** Values of the largest activation that a software driver is timed on: on 32 images of 224 x 224 it takes minutes. */
const MOST_IN_SOFTWARE = 2 ** 22

function bytesOf({ ema }: CompleteConfig, { parameters }: ResNet): number {
  const copies = 2 * (ema > 0 ? 3 : 2) + 1
  return copies * 4 * parameters.count
}

/**
 * Refuses to begin what would fill the disk.
 *
 * @param left runs that are not finished
 * @throws Error naming the study's folder, what is free there and what the runs take
 */
export async function checkDisk({ out, dataset }: StudyData, left: readonly PlannedRun[]) {
  const needed = left.reduce(
    (sum, { config, objective }) =>
      sum + bytesOf(config, networkOf(config, dataset.classes, objective)),
    0,
  )
  await mkdir(out, { recursive: true }).catch((error) => {
    throw fileError(out, 'used as the folder of a study', error)
  })
  const { bavail, bsize } = await statfs(out)
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`
  if (bavail * bsize < needed)
    throw new Error(
      `${out} has ${megabytes(bavail * bsize)} free, expected the ${megabytes(needed)} that ${left.length} runs take`,
    )
}

/**
 * Times a run's training on its images, decoding and augmentation included; writes nothing.
 *
 * @throws Error when an image can't be read and bad images are refused
 */
export async function estimateRun(
  gpu: Gpu,
  dataset: AnyDataset,
  { config, objective }: PlannedRun,
): Promise<RunEstimate> {
  const model = networkOf(config, dataset.classes, objective)
  model.parameters.allocate(gpu, config.seed)
  const optimiser = new Sgd(gpu, model.parameters.groups, config)
  const input = runInput(gpu, dataset, { split: 'train' }, config)
  const { batch, microBatch, mixup, lossScale } = config
  const [height, width] = input.shape
  const affordable = Math.floor(MOST_IN_SOFTWARE / model.largestActivation(height, width))
  const together = gpu.profile.software ? Math.min(microBatch, Math.max(2, affordable)) : microBatch
  const parts = Math.floor(batch / together)
  const batches = input.trainingBatches(firstBatches(config, input.count, together))
  try {
    const shape = [together, ...input.shape] as const
    const step = await TrainStep.record(gpu, model, objective, optimiser, shape, {
      microBatches: parts,
      lossScale,
      softTargets: mixup > 0,
    })
    try {
      let start = 0
      let taken = -WARM_UP
      const seconds = () => (performance.now() - start) / 1000
      for (; taken < FEWEST || (seconds() < LEAST_SECONDS && taken < MOST); taken++) {
        if (taken === 0) start = performance.now()
        const { labels, mixing, write } = (await batches.next()).value as ReadyBatch
        await write(step.images)
        const targets = mixing ? mixTargets(labels, objective.classes, mixing) : labels
        step.take((taken + WARM_UP) % parts, targets, { rate: 0 })
        await gpu.submitted()
      }
      return {
        secondsPerStep: ((seconds() / taken) * batch) / together,
        bytes: bytesOf(config, model),
      }
    } finally {
      step.dispose()
    }
  } finally {
    await batches.return()
    input.release()
    optimiser.release()
    model.parameters.release()
  }
}

/** Micro-batches of so many of the images that a run begins with, without end. */
function* firstBatches(
  { batch, seed }: CompleteConfig,
  count: number,
  together: number,
): Generator<BatchRequest> {
  const order = new TrainingOrder({ count, batchSize: batch, seed })
  for (let step = 0, draw = 0; ; step = (step + 1) % order.batchesPerEpoch)
    for (let at = 0; at + together <= batch; at += together)
      yield { examples: order.batch(step).subarray(at, at + together), epoch: 0, draw: draw++ }
}

/**
 * Images that go forward through networks for what follows on the training of these runs: tests, layers,
 * the trajectory of class separation, transfer, comparisons.
 *
 * @param runs all runs of the study
 */
export function imagesToLookAt(
  data: StudyData,
  runs: readonly PlannedRun[],
  left: readonly PlannedRun[],
): number {
  const { study, dataset, transfer } = data
  const { images, split, trajectory, ckaImages, ckaEpochs } = study.analysis
  const train = dataset.train.count
  const test = dataset.test!.count
  const atMost = (most: number, count = 0) => Math.min(most, count)
  const sets = [...transfer.values()].map(
    (set) =>
      atMost(study.transfer.train, set.train.count) + atMost(study.transfer.test, set.test?.count),
  )
  const each =
    test + atMost(images, split === 'train' ? train : test) + sets.reduce((a, b) => a + b, 0)
  const perLook = atMost(images, train) + atMost(images, test)
  return left.reduce((sum, run) => {
    const { steps, batch, holdOut } = run.config
    const epochs = Math.floor(steps / Math.floor((train - holdOut) / batch))
    const looks = trajectory > 0 ? Math.floor(epochs / trajectory) : 0
    const partners = partnersOf(data, runs, run).length
    const initial = meetsInitial(data, run)
    const compared = partners + (initial ? 1 : 0)
    const cka = compared > 0 ? (1 + compared) * ckaEpochs * atMost(ckaImages, test) : 0
    return sum + each + looks * perLook + cka + (initial ? train : 0)
  }, 0)
}
