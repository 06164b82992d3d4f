import { LayerStatistics } from '../../analysis/layerStatistics.ts'
import type { Dataset } from '../../data/dataset.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { ResNet } from '../../nn/resnet.ts'
import { EVALUATION_BATCH, forEachBatch } from '../../train/evaluate.ts'
import type { EpochMeasures } from '../../train/runFolder.ts'
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
  dataset: Dataset,
  most: number,
): (model: ResNet, epoch: number) => Promise<EpochMeasures | undefined> {
  return async (model, epoch) =>
    epoch % period === 0
      ? {
          r2Train: await separationOn('train', gpu, model, dataset, most),
          r2Test: await separationOn('test', gpu, model, dataset, most),
        }
      : undefined
}

async function separationOn(
  split: 'train' | 'test',
  gpu: Gpu,
  model: ResNet,
  dataset: Dataset,
  most: number,
): Promise<number | null> {
  const layer = { layer: 'avgpool', features: model.features }
  const statistics = new LayerStatistics(gpu, [layer], dataset.classes)
  await gpu.flush()
  try {
    const images = someExamples(dataset[split], most)
    await forEachBatch(gpu, dataset, images, EVALUATION_BATCH, (tape, { images: x, labels }) => {
      const features = tape.keep(model.penultimate(tape, x, { training: false })).value
      statistics.add([features], labels)
      features.release()
    })
    const [found] = await statistics.result()
    return found!.r2
  } finally {
    statistics.release()
  }
}
