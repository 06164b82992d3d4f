import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ResNet } from '../nn/resnet.ts'
import { evaluationBatchSize, forEachInputBatch } from '../train/evaluate.ts'
import type { ImageInput } from '../train/input.ts'
import { ClassSeparation } from './classSeparation.ts'
import type { SeparationResult } from './separationResult.ts'

/**
 * Class separation of a network's pooled features on the images of an input, see `ClassSeparation`;
 * cheap enough to follow it over training (Kornblith et al. 2021, Figure E.4).
 *
 * @param classes one more than the highest label
 * @throws Error when no image can be read, or on a label out of range
 */
export async function networkSeparation(
  gpu: Gpu,
  model: ResNet,
  input: ImageInput,
  classes: number,
): Promise<SeparationResult> {
  const layer = { layer: 'avgpool', features: model.features }
  const separation = new ClassSeparation(gpu, [layer], classes)
  try {
    await gpu.flush()
    await forEachInputBatch(
      gpu,
      input,
      evaluationBatchSize(gpu, model, input),
      (tape, { images, labels }) => {
        const features = model.penultimate(tape, new Tensor(images.value), { training: false })
        separation.add([features.value], labels)
      },
    )
    return (await separation.result())[0]!
  } finally {
    separation.release()
  }
}
