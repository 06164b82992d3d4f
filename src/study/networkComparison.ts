import { stackedNetworks } from '../analysis/featureNetwork.ts'
import { ImageFeatures } from '../analysis/imageFeatures.ts'
import { streamCka } from '../analysis/streamCka.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { evaluationBatchSize } from '../train/evaluate.ts'
import type { ImageInput } from '../train/input.ts'
import { analyse, comparisonOf, layerSizes, type NamedModel } from './analyse.ts'
import type { CkaComparison } from './studyResult.ts'

/** Bytes that the features of a minibatch may take, in all layers of all networks at once. */
const FEATURES_TOGETHER = 2 ** 31

/** Bytes for Gram matrices and features on their way, beside the networks, where features are streamed. */
const STREAM_MEMORY = 2 ** 32

export interface NetworkComparisonOptions {
  /** Examples of a minibatch; the paper has 1,500. Default 250. */
  readonly batch?: number
  /** Passes over the images, the later ones in another order. Default 1. */
  readonly epochs?: number
  /** Bytes of features that are held at once rather than streamed. */
  readonly together?: number
}

/**
 * CKA of all layers of the first model with those of each other model, from minibatches of images.
 * Where a minibatch's features fit on the device in all layers of all models, one forward pass has them
 * all; else layers come one after another, see `streamCka`. Either way the minibatches are the same.
 *
 * @param examples of the images that `open` gives, in the order of the minibatches
 * @param open an input of some of the images, which is released here
 * @param onProgress told of a share of the work
 */
export async function compareNetworks(
  gpu: Gpu,
  examples: Uint32Array,
  open: (examples: Uint32Array) => ImageInput,
  models: readonly NamedModel[],
  onProgress: (done: number, total: number) => void,
  options: NetworkComparisonOptions = {},
): Promise<CkaComparison[]> {
  const { batch = 250, epochs = 1, together = FEATURES_TOGETHER } = options
  const input = open(examples)
  try {
    const { model } = models[0]!
    const layers = layerSizes(gpu, model, input.shape)
    const floats = layers.reduce((sum, { features }) => sum + features, 0)
    const fits =
      4 * floats * models.length * Math.min(batch, examples.length) <= together &&
      batch <= evaluationBatchSize(gpu, model, input)
    if (fits && epochs === 1) {
      const { cka } = await analyse(gpu, input, 1, models, onProgress, { batch, statistics: false })
      return cka
    }
    const { shape } = input
    const networks = models.map(
      (each) =>
        new ImageFeatures(gpu, each.model, {
          shape,
          n: examples.length,
          input: (rows) => open(rows.map((row) => examples[row]!)),
        }),
    )
    const [first, ...others] = networks
    const names = layers.map(({ layer }) => layer)
    const a = stackedNetworks([first!], (name) => `${models[0]!.name} ${name}`)
    const b = stackedNetworks(others, (name, i) => `${models[i + 1]!.name} ${name}`)
    const result = await streamCka(gpu, a, b, {
      batch: Math.min(batch, examples.length),
      epochs,
      shuffle: epochs > 1,
      memory: STREAM_MEMORY + a.bytes + b.bytes,
      onProgress: (done, total) =>
        onProgress(Math.floor((done / total) * examples.length), examples.length),
    })
    return models
      .slice(1)
      .map(({ name }, i) => comparisonOf(result, models[0]!.name, name, names, i * names.length))
  } finally {
    input.release()
  }
}
