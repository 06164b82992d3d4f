import type { ScheduleName } from '../optim/schedule.ts'

/** Everything that decides what a training run computes. */
export interface TrainConfig {
  readonly objective: string
  readonly hyperparameters: Readonly<Record<string, number>>
  /** Data set as it was asked for, with the number of its training images. */
  readonly dataset: string
  readonly trainImages: number
  /** Width multiplier of ResNet-50. */
  readonly width: number
  readonly seed: number
  readonly steps: number
  readonly batch: number
  /** Highest learning rate. */
  readonly lr: number
  readonly schedule: ScheduleName
  readonly warmupSteps: number
  readonly momentum: number
  readonly nesterov: boolean
  readonly weightDecay: number
}

/** @throws Error naming the option that is out of range */
export function checkConfig(config: TrainConfig): void {
  const integers = ['seed', 'steps', 'batch', 'warmupSteps'] as const
  for (const name of integers)
    if (!Number.isSafeInteger(config[name]) || config[name] < (name === 'steps' ? 1 : 0))
      throw new Error(
        `${name} is ${config[name]}, expected an integer of at least ${name === 'steps' ? 1 : 0}`,
      )
  if (!(config.lr > 0 && Number.isFinite(config.lr)))
    throw new Error(`lr is ${config.lr}, expected a number above 0`)
  if (config.warmupSteps > config.steps)
    throw new Error(
      `warmupSteps is ${config.warmupSteps}, expected at most the ${config.steps} steps of the run`,
    )
}
