import type { CkaResult } from '../analysis/ckaResult.ts'
import { LayerStatistics } from '../analysis/layerStatistics.ts'
import { MinibatchCka } from '../analysis/minibatchCka.ts'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Dataset, ImageSplit } from '../data/dataset.ts'
import { ImagePreparer } from '../data/prepareImages.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { ResNet } from '../nn/resnet.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import { EVALUATION_BATCH, forEachBatch } from '../train/evaluate.ts'
import type { CkaComparison, LayerResult } from './studyResult.ts'

/** Test images that the layers are compared on: more would change the third digit, not the second. */
const MOST_EXAMPLES = 2000

export interface NamedModel {
  readonly name: string
  readonly model: ResNet
}

export interface Analysis {
  /** Of each model, in order. */
  readonly layers: readonly { layers: LayerResult[]; undefined?: Record<string, string> }[]
  /** The first model against each of the others. */
  readonly cka: CkaComparison[]
  readonly input: [number, number, number]
  readonly examples: number
}

export interface AnalysedImages {
  /** At most so many, drawn by a fixed seed where there are more. */
  readonly most?: number
  readonly split?: 'train' | 'test'
  /** Whether their order is drawn too, see `someExamples`. */
  readonly shuffled?: boolean
}

/**
 * What every layer of the models makes of images of the data set: class separation, sparsity, and CKA of
 * the first model's layers with those of each other model; in one pass, on the device.
 *
 */
export async function analyse(
  gpu: Gpu,
  dataset: Dataset,
  models: readonly NamedModel[],
  onImages: (done: number, total: number) => void,
  { most = MOST_EXAMPLES, split: which = 'test', shuffled = false }: AnalysedImages = {},
): Promise<Analysis> {
  const { height, width, channels } = new ImagePreparer(dataset)
  const split = someExamples(dataset[which], most, shuffled)
  const input: [number, number, number] = [height, width, channels]
  const sizes = featureSizes(gpu, models[0]!.model, input)
  const statistics = models.map(() => new LayerStatistics(gpu, sizes, dataset.classes))
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
  await forEachBatch(
    gpu,
    dataset,
    split,
    EVALUATION_BATCH,
    (tape, { images, labels }) => {
      const features = models.map(({ model }) => layerOutputs(tape, model, images))
      for (const [i, arrays] of features.entries()) statistics[i]!.add(arrays, labels)
      cka?.add(features[0]!, features.slice(1).flat())
      for (const array of features.flat()) array.release()
    },
    (done) => onImages(done, split.count),
  )
  const layers = []
  for (const statistic of statistics) {
    layers.push(describeLayers(await statistic.result()))
    statistic.release()
  }
  const result = await cka?.result()
  cka?.release()
  const comparisons = others.map(({ name }, i) =>
    comparisonOf(result!, first!.name, name, names, i * names.length),
  )
  return { layers, cka: comparisons, input, examples: split.count }
}

/** The columns of one model, from `offset`, out of the CKA of the first model with all others. */
function comparisonOf(
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
 * At most `most` images of a split, drawn by a fixed seed where there are more.
 *
 * @param shuffled whether their order is drawn too: data sets may be sorted by class, and minibatches
 *   for CKA should hold all classes
 */
export function someExamples(split: ImageSplit, most: number, shuffled = false): ImageSplit {
  const count = Math.min(split.count, most)
  if (count === split.count && !shuffled) return split
  const size = split.images.length / split.count
  const order = new RandomStream(0, streams.analysis).permutation(split.count).subarray(0, count)
  const images = new Uint8Array(count * size)
  for (const [i, example] of order.entries())
    images.set(split.images.subarray(example * size, (example + 1) * size), i * size)
  return { images, labels: order.map((example) => split.labels[example]!), count }
}

/** A forward pass in evaluation mode that keeps every layer's output; the caller releases them. */
function layerOutputs(tape: Tape, model: ResNet, images: Tensor): GpuArray<'f32'>[] {
  const outputs: GpuArray<'f32'>[] = []
  model.forward(tape, images, {
    training: false,
    onLayer: (_, output) => outputs.push(tape.keep(output).value),
  })
  return outputs
}

function featureSizes(gpu: Gpu, model: ResNet, input: readonly [number, number, number]) {
  const sizes: { layer: string; features: number }[] = []
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

function describeLayers(statistics: Awaited<ReturnType<LayerStatistics['result']>>) {
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
