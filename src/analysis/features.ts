import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

/** A layer by name, and how many features it has for each example. */
export interface Layer {
  readonly layer: string
  readonly features: number
}

/** Consecutive rows of a batch. */
export interface RowRange {
  readonly first: number
  readonly count: number
}

/** Choices among the variants of the kernels; what is left out is chosen by shape and device. */
export interface AnalysisVariant {
  /** Whether lanes share what they load by subgroup broadcast. */
  readonly subgroups?: boolean
  /** Whether a Gram product reads its features from an image, where the device does that faster. */
  readonly images?: boolean
  /** Whether features are loaded four at a time where their count allows. */
  readonly vectorised?: boolean
}

/**
 * Rows and features of a layer's activations [n, ...]; all axes but the first count as features.
 *
 * @throws Error naming the layer when there are none
 */
export function featureShape(
  layer: string,
  features: GpuArray<'f32'>,
): { readonly n: number; readonly p: number } {
  const n = features.shape[0] ?? 0
  const p = n > 0 ? features.length / n : 0
  if (features.shape.length < 2 || p === 0)
    throw new Error(`${layer}: features are [${features.shape}], expected [n, p] or [n, ..., p]`)
  return { n, p }
}

/**
 * Checks one batch of all layers, and returns its number of rows.
 *
 * @throws Error on a layer too few or too many, or one that does not have its features or the
 * others' rows
 */
export function checkBatch(
  what: string,
  layers: readonly Layer[],
  features: readonly GpuArray<'f32'>[],
): number {
  if (features.length !== layers.length)
    throw new Error(`${what}: ${features.length} layers came, expected ${layers.length}`)
  let rows: number | undefined
  for (const [i, array] of features.entries()) {
    const { layer, features: expected } = layers[i]!
    const { n, p } = featureShape(layer, array)
    if (p !== expected)
      throw new Error(`${layer}: an example has ${p} features, expected ${expected}`)
    rows ??= n
    if (n !== rows)
      throw new Error(`${layer}: ${n} examples, but ${layers[0]!.layer} has ${rows} of them`)
  }
  return rows ?? 0
}

/** @throws Error naming what is wrong with a list of layers */
export function checkLayers(what: string, layers: readonly Layer[]): void {
  if (layers.length === 0) throw new Error(`${what}: no layer was given, expected at least one`)
  for (const { layer, features } of layers)
    if (!Number.isInteger(features) || features < 1)
      throw new Error(`${layer}: features is ${features}, expected an integer of at least 1`)
}

/** How kernels see rows of p features: as items of four where p allows. */
export function rowItems(p: number, variant: AnalysisVariant) {
  const p4 = (variant.vectorised ?? true) && p % 4 === 0
  return { p4, width: p4 ? 4 : 1, items: p4 ? p / 4 : p } as const
}

/** Elements of the largest array that a kernel can bind. */
export function bindingLimit(gpu: Gpu): number {
  return Math.floor(gpu.largestBinding / 4)
}
