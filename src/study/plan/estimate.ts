import type { Dataset } from '../../data/dataset.ts'
import { ImagePreparer } from '../../data/prepareImages.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { Sgd } from '../../optim/sgd.ts'
import { completeConfig } from '../../train/config.ts'
import { networkOf } from '../../train/network.ts'
import { TrainStep } from '../../train/trainStep.ts'
import type { PlannedRun } from './plannedRuns.ts'

export interface RunEstimate {
  /** Seconds of one training step on this device now. */
  readonly secondsPerStep: number
  /** Bytes of a run folder: two checkpoints with momentum and averages, and the weights. */
  readonly bytes: number
}

const WARM_UP = 2
const TIMED = 5

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
      const copies = 2 * (config.ema > 0 ? 3 : 2) + 1
      return {
        secondsPerStep: (performance.now() - start) / 1000 / TIMED,
        bytes: copies * 4 * model.parameters.count,
      }
    } finally {
      step.dispose()
    }
  } finally {
    optimiser.release()
    model.parameters.release()
  }
}
