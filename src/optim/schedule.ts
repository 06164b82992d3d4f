/** Schedules by name. */
export const scheduleNames = ['constant', 'cosine'] as const

export type ScheduleName = (typeof scheduleNames)[number]

export interface ScheduleOptions {
  readonly schedule: ScheduleName
  /** Highest rate, reached at the end of the warm-up. */
  readonly lr: number
  /** Steps of linear warm-up; the first step's rate is lr / warmupSteps, not 0. */
  readonly warmupSteps: number
  readonly totalSteps: number
}

/**
 * Learning rate of a step, counted from 0: linear warm-up, then constant or half a cosine
 * (Loshchilov & Hutter 2017, eq. 5 without restarts) that would reach 0 one step after the last.
 *
 * @throws Error when `step` is no step of the run
 */
export function learningRate(step: number, options: ScheduleOptions): number {
  const { schedule, lr, warmupSteps, totalSteps } = options
  if (!Number.isInteger(step) || step < 0 || step >= totalSteps)
    throw new Error(`step is ${step}, expected an integer from 0 to ${totalSteps - 1}`)
  if (step < warmupSteps) return (lr * (step + 1)) / warmupSteps
  if (schedule === 'constant') return lr
  const progress = (step - warmupSteps) / (totalSteps - warmupSteps)
  return (lr / 2) * (1 + Math.cos(Math.PI * progress))
}
