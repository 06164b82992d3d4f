import type { Dataset } from '../data/dataset.ts'
import { type AnyDataset, asImageDataset, isInMemory, subset } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { CompleteConfig } from './config.ts'
import { type DecodedInputOptions, imageInput } from './decodedInput.ts'
import { type ImageInput, MemoryInput } from './input.ts'

/** Which images of a data set. */
export interface ImagePart {
  readonly split: 'train' | 'test'
  /** u32, in the order in which they are taken; default all. */
  readonly examples?: Uint32Array
}

/**
 * Images of a data set as a run's configuration has them: prepared on the host where they lie in memory
 * and nothing else is asked for, else loaded ahead and prepared on the device.
 *
 * @param onProblem told of each file that gives no image
 * @throws Error when the data set has no such split
 */
export function runInput(
  gpu: Gpu,
  dataset: AnyDataset,
  { split, examples }: ImagePart,
  config: CompleteConfig,
  onProblem?: DecodedInputOptions['onProblem'],
): ImageInput {
  if (isPlain(dataset, config)) return new MemoryInput(gpu, dataset, dataset[split], examples)
  const images = asImageDataset(dataset)
  const source = images[split]
  if (!source) throw new Error(`${images.name} has one split only, expected two`)
  const part = examples ? subset(source, examples) : source
  return imageInput(gpu, images, part, config, onProblem)
}

/** Whether the host's own preparation of images in memory is all that is asked for. */
function isPlain(
  dataset: AnyDataset,
  { augment, autoAugment, mixup, imageSize, mean, std }: CompleteConfig,
): dataset is Dataset {
  const asked = augment !== 'none' || autoAugment || mixup > 0
  return isInMemory(dataset) && !(asked || imageSize || mean || std)
}
