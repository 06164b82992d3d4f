import { networkSeparation } from '../../analysis/networkSeparation.ts'
import type { AnyDataset } from '../../data/imageSource.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { ResNet } from '../../nn/resnet.ts'
import type { CompleteConfig } from '../../train/config.ts'
import type { TrainHooks } from '../../train/outcome.ts'
import type { EpochMeasures } from '../../train/runFolder.ts'
import { runInput } from '../../train/runInput.ts'
import { someExamples } from '../analyse.ts'

/**
 * A look after every `period`-th epoch at class separation of the penultimate features, on training
 * and test images, as `r2Train` and `r2Test` (Kornblith et al. 2021, Figure E.4).
 *
 * @param most images of each split
 */
export function separationEvery(
  period: number,
  gpu: Gpu,
  dataset: AnyDataset,
  config: CompleteConfig,
  most: number,
  onProblem: TrainHooks['onProblem'],
): (model: ResNet, epoch: number) => Promise<EpochMeasures | undefined> {
  const on = async (split: 'train' | 'test', model: ResNet) => {
    const examples = someExamples(dataset[split]!.count, most)
    const part = { split, ...(examples ? { examples } : {}) }
    const input = runInput(gpu, dataset, part, config, onProblem)
    try {
      return (await networkSeparation(gpu, model, input, dataset.classes)).r2
    } finally {
      input.release()
    }
  }
  return async (model, epoch) =>
    epoch % period === 0
      ? { r2Train: await on('train', model), r2Test: await on('test', model) }
      : undefined
}
