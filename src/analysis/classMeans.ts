import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { FeatureChunk } from './classSeparation.ts'
import { type AnalysisVariant, rowItems } from './features.ts'

/** Of which the mean row is taken: every example weighs alike, or every class that occurs. */
export type MeanOf = 'example' | 'class'

/** A layer's running sums of rows that keep their length: those of `ClassSeparation`, Euclidean. */
export interface LayerSums {
  readonly features: number
  readonly chunks: readonly FeatureChunk[]
  /** [classes + 1] */
  readonly counts: GpuArray<'u32'>
  readonly variant: AnalysisVariant
}

/** What a layer's mean row is off from its chunks' references by; the caller releases. */
export function meanOffsets(gpu: Gpu, layer: LayerSums, of: MeanOf): GpuArray<'f32'>[] {
  const { features, chunks, counts, variant } = layer
  const { lanes } = gpu.profile
  const { p4, width } = rowItems(features, variant)
  return chunks.map(({ items, sums }) => {
    const means = gpu.empty('f32', [items * width], 'mean row')
    gpu.dispatch(kernels.analysis_class_means, {
      constants: { LANES: lanes },
      conditions: { P4: p4, BY_EXAMPLE: of === 'example' },
      buffers: { sums, counts, means },
      params: { items, classes: counts.length - 1 },
      workgroups: [Math.ceil(items / lanes), 1, 1],
    })
    return means
  })
}

/** Features [n, ...] less their mean row, given by `meanOffsets`; the caller releases. */
export function subtractMean(
  gpu: Gpu,
  { features, chunks, variant }: LayerSums,
  x: GpuArray<'f32'>,
  offsets: readonly GpuArray<'f32'>[],
): GpuArray<'f32'> {
  const { lanes } = gpu.profile
  const { p4, items } = rowItems(features, variant)
  const rows = x.length / features
  const y = gpu.empty('f32', [rows, features], 'features less their mean')
  for (const [i, { firstItem, items: chunkItems, reference }] of chunks.entries()) {
    const bands = bandsOf(gpu, rows, chunkItems)
    gpu.dispatch(kernels.analysis_subtract_mean, {
      constants: { LANES: lanes },
      conditions: { P4: p4 },
      buffers: { x, reference, offsets: offsets[i]!, y },
      params: { rows, rowsPerBand: bands.rowsPerBand, items, firstItem, chunkItems },
      workgroups: bands.workgroups,
    })
  }
  return y
}

/**
 * The class means [classes, features], 0 for classes that do not occur; the caller releases. For
 * layers of one chunk.
 */
export function classMeans(gpu: Gpu, layer: LayerSums): GpuArray<'f32'> {
  return shifted(gpu, layer, onlyChunk(layer).reference, 1)
}

/** The class means less the mean of those that occur; otherwise as `classMeans`. */
export function centredClassMeans(gpu: Gpu, layer: LayerSums): GpuArray<'f32'> {
  onlyChunk(layer)
  const [mean] = meanOffsets(gpu, layer, 'class')
  const means = shifted(gpu, layer, mean!, -1)
  mean!.release()
  return means
}

function shifted(gpu: Gpu, layer: LayerSums, shift: GpuArray<'f32'>, sign: number) {
  const { features, counts, variant } = layer
  const { lanes } = gpu.profile
  const { p4, items } = rowItems(features, variant)
  const { sums } = onlyChunk(layer)
  const classes = counts.length - 1
  const y = gpu.empty('f32', [classes, features], 'class means')
  gpu.dispatch(kernels.analysis_shifted_class_means, {
    constants: { LANES: lanes },
    conditions: { P4: p4 },
    buffers: { sums, counts, shift, y },
    params: { items, sign },
    workgroups: [Math.ceil(items / lanes), classes, 1],
  })
  return y
}

/** Features [n, ...] less the mean of each one's class; the caller releases. For one chunk. */
export function subtractClassMeans(
  gpu: Gpu,
  layer: LayerSums,
  x: GpuArray<'f32'>,
  labels: GpuArray<'u32'>,
): GpuArray<'f32'> {
  const { features, counts, variant } = layer
  const { p4, items } = rowItems(features, variant)
  const { reference, sums } = onlyChunk(layer)
  const rows = x.length / features
  const y = gpu.empty('f32', [rows, features], 'deviations from class means')
  const { rowsPerBand, workgroups } = bandsOf(gpu, rows, items)
  gpu.dispatch(kernels.analysis_subtract_class_mean, {
    constants: { LANES: gpu.profile.lanes },
    conditions: { P4: p4 },
    buffers: { x, labels, reference, sums, counts, y },
    params: { rows, rowsPerBand, items, classes: counts.length - 1 },
    workgroups,
  })
  return y
}

function onlyChunk({ features, chunks, counts }: LayerSums): FeatureChunk {
  const [chunk, more] = chunks
  if (!chunk || more)
    throw new Error(
      `class means of ${counts.length - 1} classes and ${features} features exceed what this device binds at once`,
    )
  return chunk
}

/** Rows cut into bands so that all of the device has work. */
function bandsOf(gpu: Gpu, rows: number, items: number) {
  const { lanes, targetWorkgroups } = gpu.profile
  const columns = Math.ceil(items / lanes)
  const rowsPerBand = Math.ceil(rows / Math.min(rows, Math.ceil(targetWorkgroups / columns)))
  return { rowsPerBand, workgroups: [columns, Math.ceil(rows / rowsPerBand), 1] as const }
}
