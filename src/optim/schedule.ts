/** Schedules by name. */
export const scheduleNames = ['constant', 'exponential', 'cosine'] as const

export type ScheduleName = (typeof scheduleNames)[number]

/** Where exponential decay counts its epochs from. */
export const decayStarts = ['warmup', 'start'] as const

export interface ScheduleOptions {
  readonly schedule: ScheduleName
  /** Highest rate, reached at the end of the warm-up. */
  readonly lr: number
  /** Steps of linear warm-up; the first step's rate is lr / warmupSteps, not 0. */
  readonly warmupSteps: number
  readonly totalSteps: number
  /** Factor of the rate an epoch of exponential decay, in (0, 1]. Default 0.975, the paper's. */
  readonly decay?: number
  /** Steps of an epoch; exponential decay needs it. */
  readonly stepsPerEpoch?: number
  /**
   * `warmup` (default, the paper's text): decay begins at the end of the warm-up, from lr. `start`
   * (tensorflow/tpu): epochs count from the first step, so the rate drops at the warm-up's end.
   */
  readonly decayFrom?: (typeof decayStarts)[number]
  /** True (default): the rate changes once an epoch. False: a little every step. */
  readonly staircase?: boolean
}

/**
 * Learning rate of a step, counted from 0: linear warm-up, then constant, exponential decay
 * lr * decay^epochs, or half a cosine (Loshchilov & Hutter 2017, eq. 5 without restarts) that would
 * reach 0 one step after the last.
 *
 * @throws Error when `step` is no step of the run, or on exponential decay without `stepsPerEpoch`
 */
export function learningRate(step: number, options: ScheduleOptions): number {
  const { schedule, lr, warmupSteps, totalSteps } = options
  if (!Number.isInteger(step) || step < 0 || step >= totalSteps)
    throw new Error(`step is ${step}, expected an integer from 0 to ${totalSteps - 1}`)
  if (step < warmupSteps) return (lr * (step + 1)) / warmupSteps
  if (schedule === 'constant') return lr
  if (schedule === 'exponential') return exponential(step, options)
  const progress = (step - warmupSteps) / (totalSteps - warmupSteps)
  return (lr / 2) * (1 + Math.cos(Math.PI * progress))
}

function exponential(step: number, options: ScheduleOptions): number {
  const { lr, warmupSteps, decay = 0.975, stepsPerEpoch, decayFrom, staircase = true } = options
  if (!(stepsPerEpoch && stepsPerEpoch > 0))
    throw new Error(`stepsPerEpoch is ${stepsPerEpoch}, expected a number above 0`)
  const epochs = (step - (decayFrom === 'start' ? 0 : warmupSteps)) / stepsPerEpoch
  return lr * decay ** (staircase ? Math.floor(epochs) : epochs)
}
