import { readSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ResNet } from '../nn/resnet.ts'
import { loadStateDict, type StoredTensor } from '../nn/stateDict.ts'
import { setBatchNormMoments } from './batchNormMoments.ts'
import type { ImageInput } from './input.ts'
import type { LoadedRun } from './loadRun.ts'

/**
 * A run's network as training began with it. Weights drawn at random get batch-norm moments computed
 * on `images`; weights that the run took from a file have moments of their own.
 *
 * @throws Error naming the file of initial weights, where it does not fit or is gone
 */
export async function initialNetwork(
  gpu: Gpu,
  { model: trained, config }: LoadedRun,
  images: () => ImageInput,
  options: Parameters<typeof setBatchNormMoments>[3] = {},
): Promise<ResNet> {
  const model = trained.withoutMemory()
  model.parameters.allocate(gpu, config.seed)
  try {
    if (config.weights) {
      const { tensors } = await readSafetensors(config.weights)
      loadStateDict(gpu, model.parameters, tensors as ReadonlyMap<string, StoredTensor>)
      return model
    }
    const input = images()
    try {
      await setBatchNormMoments(gpu, model, input, options)
    } finally {
      input.release()
    }
    return model
  } catch (error) {
    model.parameters.release()
    throw config.weights ? new Error(`${config.weights}: ${(error as Error).message}`) : error
  }
}
