import { inputSize } from '../data/imageInput.ts'
import { type AnyDataset, isInMemory } from '../data/imageSource.ts'
import { ResNet } from '../nn/resnet.ts'
import type { CompleteConfig, TrainConfig } from './config.ts'
import { largestMicroBatch } from './microBatch.ts'

/** Lengths as they are asked for. */
export interface Lengths {
  readonly steps?: number
  readonly epochs?: number
  readonly warmupSteps?: number
  readonly warmupEpochs?: number
}

/**
 * The length of a run and of its warm-up in steps. An epoch is as many whole batches as the images that
 * are not held out fill.
 *
 * @param given what was asked for, which wins over `byDefault`
 * @param nameOf what errors call a setting
 * @throws Error when a length is given both in steps and in epochs
 */
export function lengthsInSteps(
  given: Lengths,
  byDefault: Lengths,
  { batch, trainImages, holdOut = 0 }: Pick<TrainConfig, 'batch' | 'trainImages' | 'holdOut'>,
  nameOf: (name: keyof Lengths) => string = (name) => name,
): { readonly steps: number | undefined; readonly warmupSteps: number | undefined } {
  // At least one, so that a batch that is too large is what gets named.
  const perEpoch = Math.max(1, Math.floor((trainImages - holdOut) / batch))
  const inSteps = (name: 'steps' | 'warmupSteps', epochsName: 'epochs' | 'warmupEpochs') => {
    if (given[name] !== undefined && given[epochsName] !== undefined)
      throw new Error(`both ${nameOf(name)} and ${nameOf(epochsName)} are given, expected one`)
    const wins = given[name] ?? (given[epochsName] === undefined ? byDefault[name] : undefined)
    if (wins !== undefined) return wins
    const epochs = given[epochsName] ?? byDefault[epochsName]
    return epochs === undefined ? undefined : Math.round(epochs * perEpoch)
  }
  return {
    steps: inSteps('steps', 'epochs'),
    warmupSteps: inSteps('warmupSteps', 'warmupEpochs'),
  }
}

/** Size of the network's input. */
export function inputOf(
  { imageSize }: Pick<CompleteConfig, 'imageSize'>,
  dataset: AnyDataset,
): { height: number; width: number } {
  const side = imageSize === undefined ? {} : { height: imageSize, width: imageSize }
  if (isInMemory(dataset)) return inputSize(dataset, false, side)
  return inputSize(dataset.size, dataset.statistics === undefined, side)
}

/** Images that any WebGPU device takes at once, a divisor of the batch. */
export function fittingMicroBatch(config: CompleteConfig, dataset: AnyDataset): number {
  const { arch, width, stem, batch } = config
  const { classes } = dataset
  const input = inputOf(config, dataset)
  const network = new ResNet({ arch, width, stem, classes })
  return largestMicroBatch(network, batch, [input.height, input.width, 3])
}

/** @throws Error when statistics are given for images that are taken as they are */
export function checkStatistics(
  given: { readonly mean?: unknown; readonly std?: unknown },
  dataset: AnyDataset,
  nameOf: (name: 'mean' | 'std') => string = (name) => name,
): void {
  if (isInMemory(dataset) || dataset.statistics) return
  const unused = (['mean', 'std'] as const).find((name) => given[name])
  if (unused)
    throw new Error(
      `${nameOf(unused)} is given with ${dataset.name}, whose images are f32: these are taken as they are`,
    )
}
