import type { GpuArray } from '../gpu/gpuArray.ts'

/** A layer's activations for a batch: [n, ...], taken as n rows of p features. */
export interface FeatureShape {
  readonly n: number
  readonly p: number
}

/**
 * Rows and features of a layer's activations.
 *
 * @throws Error naming the layer when there are none
 */
export function featureShape(layer: string, features: GpuArray<'f32'>): FeatureShape {
  const n = features.shape[0] ?? 0
  const p = n > 0 ? features.length / n : 0
  if (p === 0) throw new Error(`${layer}: features are [${features.shape}], expected [n, ...]`)
  return { n, p }
}

/** How kernels over columns see rows of p features: four at a time where p allows. */
export function columnItems(p: number): { readonly p4: boolean; readonly items: number } {
  const p4 = p % 4 === 0
  return { p4, items: p4 ? p / 4 : p }
}
