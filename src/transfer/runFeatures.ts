import type { Gpu } from '../gpu/gpu.ts'
import type { ResNet } from '../nn/resnet.ts'
import { evaluationBatchSize, forEachInputBatch } from '../train/evaluate.ts'
import type { ImageInput } from '../train/input.ts'
import type { LabelledFeatures } from './labelledFeatures.ts'

/**
 * The penultimate features of a network, batch norm by its running statistics, of all images of an
 * input that can be decoded.
 *
 * @param name what errors call the result
 * @throws Error when no image can be decoded
 */
export async function penultimateFeatures(
  gpu: Gpu,
  model: ResNet,
  input: ImageInput,
  name: string,
  onImages: (done: number) => void = () => {},
): Promise<LabelledFeatures> {
  const width = model.features
  const features = new Float32Array(input.count * width)
  const labels = new Uint32Array(input.count)
  let examples = 0
  await forEachInputBatch(
    gpu,
    input,
    evaluationBatchSize(gpu, model, input),
    (tape, { images }) => tape.keep(model.penultimate(tape, images, { training: false })).value,
    async (values, batch, done) => {
      features.set(await gpu.read(values), examples * width)
      labels.set(batch, examples)
      examples = done
      onImages(done)
    },
  )
  if (examples === 0) throw new Error(`${name}: no image could be read`)
  return {
    name,
    features: features.subarray(0, examples * width),
    labels: labels.subarray(0, examples),
    width,
  }
}
