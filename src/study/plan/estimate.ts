import { mkdir, statfs } from 'node:fs/promises'
import type { Dataset } from '../../data/dataset.ts'
import { fileError } from '../../data/files.ts'
import { ImagePreparer } from '../../data/prepareImages.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { ResNet } from '../../nn/resnet.ts'
import { Sgd } from '../../optim/sgd.ts'
import { type CompleteConfig, completeConfig } from '../../train/config.ts'
import { networkOf } from '../../train/network.ts'
import { TrainStep } from '../../train/trainStep.ts'
import type { StudyData } from './oneRun.ts'
import type { PlannedRun } from './plannedRuns.ts'

export interface RunEstimate {
  /** Seconds of one training step on this device now. */
  readonly secondsPerStep: number
  /** Bytes of a run folder: two checkpoints with momentum and averages, and the weights. */
  readonly bytes: number
}

const WARM_UP = 2
const TIMED = 5

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

/** Times a few steps of a run's network on blank images; writes nothing. */
export async function estimateRun(
  gpu: Gpu,
  dataset: Dataset,
  { config: given, objective }: PlannedRun,
): Promise<RunEstimate> {
  const config = completeConfig(given)
  const model = networkOf(config, dataset.classes, objective)
  model.parameters.allocate(gpu, config.seed)
  const optimiser = new Sgd(gpu, model.parameters.groups, config)
  const { height, width, channels } = new ImagePreparer(dataset)
  try {
    const shape = [config.batch, height, width, channels] as const
    const step = await TrainStep.record(gpu, model, objective, optimiser, shape)
    try {
      const images = new Float32Array(step.images.length)
      const labels = new Uint32Array(config.batch)
      let start = 0
      for (let i = 0; i < WARM_UP + TIMED; i++) {
        if (i === WARM_UP) start = performance.now()
        gpu.write(step.images, images)
        step.take(0, labels, { rate: 0 })
        await gpu.submitted()
      }
      return {
        secondsPerStep: (performance.now() - start) / 1000 / TIMED,
        bytes: bytesOf(config, model),
      }
    } finally {
      step.dispose()
    }
  } finally {
    optimiser.release()
    model.parameters.release()
  }
}
