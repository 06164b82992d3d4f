import { networkSeparation } from '../analysis/networkSeparation.ts'
import { type ImageDataset, type ImageSource, subset } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { CompleteConfig } from '../train/config.ts'
import { imageInput } from '../train/decodedInput.ts'
import type { TrainHooks } from '../train/outcome.ts'

/**
 * The hook that follows class separation over training: R² of the pooled features of some training
 * images and of some test images after each epoch, none of them augmented.
 *
 * @param count images of either split, drawn at even distances; 0: no hook
 */
export function separationHook(
  gpu: Gpu,
  dataset: ImageDataset,
  config: CompleteConfig,
  count: number,
  onProblem: NonNullable<TrainHooks['onProblem']>,
): Pick<TrainHooks, 'onEpoch'> {
  if (count === 0) return {}
  return {
    onEpoch: async (model) => {
      const r2Of = async (source: ImageSource) => {
        const n = Math.min(count, source.count)
        const places = Uint32Array.from({ length: n }, (_, i) => Math.floor((i * source.count) / n))
        const input = imageInput(gpu, dataset, subset(source, places), config, onProblem)
        try {
          return (await networkSeparation(gpu, model, input, dataset.classes)).r2
        } finally {
          input.release()
        }
      }
      const measures: Record<string, number | null> = { r2Train: await r2Of(dataset.train) }
      if (dataset.test) measures.r2Test = await r2Of(dataset.test)
      return measures
    },
  }
}
