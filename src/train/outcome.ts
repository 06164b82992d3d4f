import type { BadImageError } from '../data/imageSource.ts'
import type { ResNet } from '../nn/resnet.ts'
import type { EpochMeasures, MetricsLine } from './runFolder.ts'

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
  /** Told of each file that gives no image; another example stands in for it. */
  readonly onProblem?: (problem: BadImageError) => void
  /**
   * Looks at the network after each whole epoch, with the weights that are evaluated; what it
   * returns, if anything, stands in the epoch's line of metrics.jsonl.
   */
  readonly onEpoch?: (model: ResNet, epoch: number) => Promise<EpochMeasures | undefined>
  /** Checkpoints to keep besides the best. Default 2. */
  readonly keepCheckpoints?: number
  /** Minutes between checkpoints, besides that of each epoch. Default 10. */
  readonly checkpointMinutes?: number
}

export interface TrainOutcome {
  /** With the averaged weights where the run averages, of the best epoch where it stops early. */
  readonly model: ResNet
  readonly metrics: readonly MetricsLine[]
  /** Steps that were taken: fewer than asked for where the run stopped early. */
  readonly steps: number
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
