import type { CkaResult } from '../analysis/ckaResult.ts'
import type { Layer } from '../analysis/features.ts'
import { LayerStatistics } from '../analysis/layerStatistics.ts'
import { MinibatchCka } from '../analysis/minibatchCka.ts'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { ResNet } from '../nn/resnet.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import { evaluationBatchSize, forEachInputBatch } from '../train/evaluate.ts'
import type { ImageInput } from '../train/input.ts'
import type { CkaComparison, LayerResult } from './studyResult.ts'

export interface NamedModel {
  readonly name: string
  readonly model: ResNet
}

export interface Analysis {
  /** Of each model, in order; empty where they were not asked for. */
  readonly layers: readonly RunLayerResults[]
  /** The first model against each of the others. */
  readonly cka: CkaComparison[]
  /** Images that were looked at: those that could be read. */
  readonly examples: number
}

/** What a model's layers make of the images. */
export interface RunLayerResults {
  readonly layers: LayerResult[]
  /** Why a value of a layer is null, by `LAYER.QUANTITY`. */
  readonly undefined?: Record<string, string>
}

export interface AnalyseOptions {
  /** Images that go through the models at once, and a minibatch of CKA. Default 250, or what the device binds. */
  readonly batch?: number
  /** Of each model; default all. */
  readonly layers?: readonly string[]
  /** Whether class separation and sparsity are wanted. Default true. */
  readonly statistics?: boolean
}

/**
 * What layers of the models make of images: class separation, sparsity, and CKA of the first model's
 * layers with those of each other model; in one pass, on the device, which holds the features of a batch
 * in all of these layers.
 *
 * @param classes one more than the highest label
 */
export async function analyse(
  gpu: Gpu,
  input: ImageInput,
  classes: number,
  models: readonly NamedModel[],
  onImages: (done: number, total: number) => void,
  options: AnalyseOptions = {},
): Promise<Analysis> {
  const { batch = evaluationBatchSize(gpu, models[0]!.model, input), layers: asked } = options
  const sizes = layerSizes(gpu, models[0]!.model, input.shape).filter(
    ({ layer }) => !asked || asked.includes(layer),
  )
  const statistics =
    (options.statistics ?? true) ? models.map(() => new LayerStatistics(gpu, sizes, classes)) : []
  const names = sizes.map(({ layer }) => layer)
  const [first, ...others] = models
  // All others as one stack of layers: the first model's Gram matrices are computed once, not for each.
  const cka =
    others.length > 0
      ? new MinibatchCka(
          gpu,
          names.map((layer) => `${first!.name} ${layer}`),
          others.flatMap(({ name }) => names.map((layer) => `${name} ${layer}`)),
        )
      : undefined
  await gpu.flush()
  let examples = 0
  try {
    await forEachInputBatch(
      gpu,
      input,
      batch,
      (tape, { images, labels }) => {
        const features = models.map(({ model }) => layerOutputs(tape, model, images, names))
        for (const [i, statistic] of statistics.entries()) statistic.add(features[i]!, labels)
        cka?.add(features[0]!, features.slice(1).flat())
        for (const array of features.flat()) array.release()
      },
      (_, __, done) => {
        examples = done
        onImages(done, input.count)
      },
    )
    const layers: RunLayerResults[] = []
    for (const statistic of statistics) layers.push(describeLayers(await statistic.result()))
    const result = await cka?.result()
    const comparisons = others.map(({ name }, i) =>
      comparisonOf(result!, first!.name, name, names, i * names.length),
    )
    return { layers, cka: comparisons, examples }
  } finally {
    for (const statistic of statistics) statistic.release()
    cka?.release()
  }
}

/** The columns of one model, from `offset`, out of the CKA of the first model with all others. */
export function comparisonOf(
  { matrix, undefined: reasons, n, batches }: CkaResult,
  a: string,
  b: string,
  layers: readonly string[],
  offset: number,
): CkaComparison {
  const undefinedPairs: Record<string, string> = {}
  for (const layerA of layers)
    for (const layerB of layers) {
      const reason = reasons[`${a} ${layerA}/${b} ${layerB}`]
      if (reason !== undefined) undefinedPairs[`${layerA}/${layerB}`] = reason
    }
  return {
    a,
    b,
    layersA: [...layers],
    layersB: [...layers],
    matrix: matrix.map((row) => row.slice(offset, offset + layers.length)),
    ...(Object.keys(undefinedPairs).length > 0 ? { undefined: undefinedPairs } : {}),
    estimator: 'unbiased',
    n,
    batches,
  }
}

/**
 * At most `most` of `count` images, drawn by a fixed seed where there are more.
 *
 * @param shuffled whether their order is drawn too: data sets may be sorted by class, and minibatches
 *   for CKA should hold all classes
 * @returns undefined for all of them in their order
 */
export function someExamples(
  count: number,
  most: number,
  shuffled = false,
): Uint32Array | undefined {
  if (count <= most && !shuffled) return undefined
  return new RandomStream(0, streams.analysis).permutation(count).subarray(0, Math.min(count, most))
}

/** A forward pass in evaluation mode that keeps these layers' outputs; the caller releases them. */
function layerOutputs(
  tape: Tape,
  model: ResNet,
  images: Tensor,
  names: readonly string[],
): GpuArray<'f32'>[] {
  const outputs: GpuArray<'f32'>[] = []
  model.forward(tape, images, {
    training: false,
    onLayer: (name, output) => {
      if (names.includes(name)) outputs.push(tape.keep(output).value)
    },
  })
  return outputs
}

/** The layers of a network, and what each makes of one image of this shape [H, W, C]. */
export function layerSizes(gpu: Gpu, model: ResNet, input: readonly number[]): Layer[] {
  const sizes: Layer[] = []
  const image = new Tensor(gpu.zeros('f32', [1, ...input]))
  const tape = new Tape(gpu, false)
  model.forward(tape, image, {
    training: false,
    onLayer: (layer, output) => sizes.push({ layer, features: output.value.length }),
  })
  tape.dispose()
  image.value.release()
  return sizes
}

function describeLayers(
  statistics: Awaited<ReturnType<LayerStatistics['result']>>,
): RunLayerResults {
  const layers = statistics.map(({ layer: name, features, r2, nonZero }) => ({
    name,
    features,
    r2,
    nonZero,
  }))
  const reasons: Record<string, string> = {}
  for (const statistic of statistics)
    if (statistic.undefined) reasons[`${statistic.layer}.r2`] = statistic.undefined
  return Object.keys(reasons).length > 0 ? { layers, undefined: reasons } : { layers }
}
