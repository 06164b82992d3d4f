import type { Layer } from '../analysis/features.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ImageInput } from '../train/input.ts'
import { analyse, layerSizes, type NamedModel, type RunLayerResults } from './analyse.ts'

/** Bytes of class sums that one pass over the images holds on the device, unless a layer alone takes more. */
const SUMS_TOGETHER = 2 ** 32

/** A class's sum of a feature, and its share of the sum of their squares, which items of four have. */
const BYTES_OF_A_SUM = 5

/**
 * Class separation and sparsity of every layer of a network, in as many passes over the images as keep
 * the class sums small: a thousand classes and 5.5 million features, those of ResNet-50 on 224 x 224
 * pixels, take 28 GB of sums.
 *
 * @param classes one more than the highest label
 * @param onImages told of images done, counted over all passes
 */
export async function analyseLayers(
  gpu: Gpu,
  input: ImageInput,
  classes: number,
  model: NamedModel,
  onImages: (done: number, total: number) => void,
  most = SUMS_TOGETHER,
): Promise<RunLayerResults & { readonly examples: number }> {
  const groups = layerGroups(layerSizes(gpu, model.model, input.shape), classes, most)
  const found: RunLayerResults[] = []
  let examples = 0
  for (const [i, layers] of groups.entries()) {
    const pass = await analyse(
      gpu,
      input,
      classes,
      [model],
      (done) => onImages(i * input.count + done, groups.length * input.count),
      { layers },
    )
    found.push(pass.layers[0]!)
    examples = pass.examples
    gpu.trim()
  }
  const reasons = Object.assign({}, ...found.map((pass) => pass.undefined ?? {}))
  return {
    layers: found.flatMap(({ layers }) => layers),
    ...(Object.keys(reasons).length > 0 ? { undefined: reasons } : {}),
    examples,
  }
}

/** Consecutive layers whose class sums fit together. */
function layerGroups(layers: readonly Layer[], classes: number, most: number): string[][] {
  const groups: string[][] = []
  let left = 0
  for (const { layer, features } of layers) {
    const bytes = BYTES_OF_A_SUM * classes * features
    if (groups.length === 0 || bytes > left) {
      groups.push([])
      left = most
    }
    groups.at(-1)!.push(layer)
    left -= bytes
  }
  return groups
}
