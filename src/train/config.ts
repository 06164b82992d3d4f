import { type ScheduleName, scheduleNames } from '../optim/schedule.ts'
import { checkSgdOptions } from '../optim/sgd.ts'

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

/**
 * @param count training images of the data set
 * @throws Error naming the option that is out of range
 */
export function checkConfig(config: TrainConfig, count: number): void {
  const least = { seed: 0, steps: 1, batch: 1, warmupSteps: 0 }
  for (const [name, from] of Object.entries(least) as [keyof typeof least, number][])
    if (!Number.isSafeInteger(config[name]) || config[name] < from)
      throw new Error(`${name} is ${config[name]}, expected an integer of at least ${from}`)
  const { batch, trainImages, width, lr, schedule, warmupSteps, steps } = config
  if (trainImages !== count)
    throw new Error(`trainImages is ${trainImages}, expected the ${count} of the data set`)
  if (batch === 1)
    throw new Error(
      'batch is 1, expected at least 2: batch normalisation has no variance over one image',
    )
  if (batch > count)
    throw new Error(
      `batch is ${batch}, expected at most the ${count} training images of the data set`,
    )
  for (const [name, value] of Object.entries({ width, lr }))
    if (!(value > 0 && Number.isFinite(value)))
      throw new Error(`${name} is ${value}, expected a number above 0`)
  if (!scheduleNames.includes(schedule))
    throw new Error(`schedule is ${schedule}, expected one of ${scheduleNames.join(', ')}`)
  if (warmupSteps > steps)
    throw new Error(`warmupSteps is ${warmupSteps}, expected at most the ${steps} steps of the run`)
  checkSgdOptions(config)
}
