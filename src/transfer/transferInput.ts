import type { ImageDataset, ImageSource } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { CompleteConfig } from '../train/config.ts'
import { DecodedInput, type DecodedInputOptions } from '../train/decodedInput.ts'

export interface TransferInputOptions extends Pick<DecodedInputOptions, 'onProblem'> {
  /** Shortest side before the centre is taken; default as the run evaluates: 8/7 of the input's. */
  readonly resize?: number | undefined
}

/**
 * Images of another data set as a run's network takes them: resized, cropped and normalised as the run's
 * own test images, with that data set's statistics where the run was given none.
 */
export function transferInput(
  gpu: Gpu,
  dataset: ImageDataset,
  source: ImageSource,
  config: CompleteConfig,
  { resize, onProblem }: TransferInputOptions,
): DecodedInput {
  const { imageSize, mean, std, filter, antialias, points, evalCrop, onBadImage } = config
  return new DecodedInput(gpu, dataset, source, {
    ...(imageSize === undefined ? {} : { imageSize }),
    ...(mean ? { mean } : {}),
    ...(std ? { std } : {}),
    ...(resize === undefined ? {} : { resize }),
    ...(onProblem ? { onProblem } : {}),
    resampling: { filter, antialias, points },
    evalCrop,
    onBadImage,
  })
}
