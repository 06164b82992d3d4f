import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { BATCH_NORM_MOMENTUM } from '../nn/layers.ts'
import type { ResNet } from '../nn/resnet.ts'
import { updateAverages } from '../optim/ema.ts'
import { evaluationBatchSize } from './evaluate.ts'
import type { ImageInput } from './input.ts'

/**
 * Sets batch norm's running statistics to the mean of those of an input's batches, each weighing by
 * its number of images: what a network at initialisation needs before it can be evaluated
 * (Kornblith et al. 2021, Figure 2a).
 *
 * @param options.batch images that share batch statistics, at most
 * @throws Error when no image of the input can be read
 */
export async function setBatchNormMoments(
  gpu: Gpu,
  model: ResNet,
  input: ImageInput,
  options: { readonly batch?: number; readonly onImages?: (done: number) => void } = {},
): Promise<void> {
  const { batch: most = input.count, onImages = () => {} } = options
  const { bufferValues } = model.parameters
  const mean = gpu.zeros('f32', [bufferValues.length], 'mean of batch statistics')
  const weight = gpu.zeros('f32', [1], 'weight of a batch')
  await gpu.flush()
  let seen = 0
  try {
    // Batches of like sizes: a rest of one image may have a single value a channel, and no variance.
    const batches = Math.ceil(input.count / Math.min(most, evaluationBatchSize(gpu, model, input)))
    for await (const batch of input.evaluationBatches(Math.ceil(input.count / batches))) {
      const { length } = batch.labels
      seen += length
      const images = gpu.empty('f32', [length, ...input.shape], 'images')
      await batch.write(images)
      gpu.write(weight, Float32Array.of(length / seen))
      // From 0 the statistics become those of this batch, times the momentum.
      gpu.clear(bufferValues)
      const tape = new Tape(gpu, false)
      model.penultimate(tape, new Tensor(images), { training: true })
      tape.dispose()
      updateAverages(gpu, [{ average: mean, x: bufferValues }], weight)
      images.release()
      await gpu.idle()
      onImages(seen)
    }
    if (seen === 0) throw new Error('none of the images could be read')
    gpu.dispatch(kernels.loss_scale, {
      ...elementwiseCall(gpu, mean, { factor: 1 / BATCH_NORM_MOMENTUM }),
      buffers: { x: mean, y: bufferValues },
    })
    await gpu.idle()
  } finally {
    mean.release()
    weight.release()
  }
}
