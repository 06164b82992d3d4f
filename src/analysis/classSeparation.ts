import { sumSlices } from '../autograd/convolution.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import {
  type AnalysisVariant,
  bindingLimit,
  checkBatch,
  checkLayers,
  type Layer,
  type RowRange,
  rowItems,
} from './features.ts'
import { type Labels, withLabels } from './labels.ts'
import {
  type RowStatistics,
  releaseRowStatistics,
  rowRanges,
  rowStatistics,
} from './rowStatistics.ts'
import { type Distance, type SeparationResult, separationOf } from './separationResult.ts'

const MAX_WORKGROUPS = 65535

/** Some of a layer's features, with their running sums. */
export interface FeatureChunk {
  readonly firstItem: number
  readonly items: number
  /** [features]: what the sums are deviations from. */
  readonly reference: GpuArray<'f32'>
  /** [classes, features]: sums of unit rows' deviations. */
  readonly sums: GpuArray<'f32'>
  /** [classes, items]: sums of their squares. */
  readonly squares: GpuArray<'f32'>
}

/**
 * Class separation R² of many layers in one streaming pass: one minus the mean distance between two
 * examples of a class over that between any two, with classes weighted alike (Kornblith et al. 2021,
 * eq. 11 and 12), pairs of an example with itself included. By cosine distance:
 *
 *   R² = (mean_k |m_k|² - |mbar|²) / (1 - |mbar|²)
 *
 * with m_k the mean of class k's rows at unit length and mbar the mean of the m_k that occur. A row
 * of zeros has no direction: it stays zero, at cosine distance 1 from everything, itself included,
 * and is counted in the result. A row that holds NaN, infinities or has a norm outside about 1e-15 to
 * 1e19 makes its layer's R² null. By squared Euclidean distance (Table E.1) rows keep their length:
 *
 *   R² = mean_k |m_k - mbar|² / (mean_k mean_i |x_i|² - |mbar|²)
 *
 * Sums are of deviations from the first batch's mean row, so that features far from the
 * origin, whose directions nearly agree, keep their digits: below 1e-5 absolute at mean 50.
 *
 * `add` only records device work, so a batch may be recorded into a program and replayed; make the
 * object itself outside of it.
 */
export class ClassSeparation {
  readonly #chunks: readonly (readonly FeatureChunk[])[]
  /** [classes + 1]: examples of each class, and those with a label out of range. */
  readonly #counts: GpuArray<'u32'>
  /** [layers, classes + 1]: rows of zeros of each class, and rows without a usable norm. */
  readonly #zeroRows: GpuArray<'u32'>
  readonly #seen: GpuArray<'u32'>

  /** @throws Error when there are no layers, one has no features, or classes is below 1 */
  constructor(
    private readonly gpu: Gpu,
    private readonly layers: readonly Layer[],
    private readonly classes: number,
    private readonly variant: AnalysisVariant = {},
    private readonly distance: Distance = 'cosine',
  ) {
    checkLayers('class separation', layers)
    if (!Number.isInteger(classes) || classes < 1 || classes >= MAX_WORKGROUPS)
      throw new Error(
        `class separation: classes is ${classes}, expected an integer from 1 to ${MAX_WORKGROUPS - 1}`,
      )
    this.#chunks = layers.map((layer) => this.#chunksOf(layer))
    this.#counts = gpu.zeros('u32', [classes + 1], 'class counts')
    this.#zeroRows = gpu.zeros('u32', [layers.length, classes + 1], 'zero rows')
    this.#seen = gpu.zeros('u32', [1], 'rows seen')
  }

  /**
   * Adds a batch.
   *
   * @param features of each layer [n, ...], on the same n examples
   * @param labels [n], each below the number of classes: checked here when they are on the host, by
   * `result` when they are on the device
   * @throws Error on a layer whose shape does not fit, or a label out of range
   */
  add(features: readonly GpuArray<'f32'>[], labels: Labels): void {
    const { gpu, layers, classes } = this
    const rows = checkBatch('class separation', layers, features)
    withLabels(gpu, labels, rows, classes, (onDevice) => {
      for (const range of rowRanges(rows)) {
        const statistics = rowStatistics(gpu, features, range, this.variant)
        this.addRows(features, onDevice, range, statistics)
        releaseRowStatistics(statistics)
      }
    })
  }

  /** Adds rows of which `rowStatistics` knows already; the batch was checked. */
  addRows(
    features: readonly GpuArray<'f32'>[],
    labels: GpuArray<'u32'>,
    { first: firstRow, count: rows }: RowRange,
    { scales: unit, usable }: Pick<RowStatistics, 'scales' | 'usable'>,
  ): void {
    const { gpu, layers, classes } = this
    const scales = this.distance === 'cosine' ? unit : usable
    const constants = { LANES: gpu.profile.lanes }
    const groups = (count: number) => [Math.ceil(count / constants.LANES), 1, 1] as const
    const order = gpu.empty('u32', [rows, 2], 'rows by class')
    gpu.dispatch(kernels.analysis_sort_labels, {
      constants,
      buffers: { labels, order },
      params: { rows, firstRow },
      workgroups: groups(rows),
    })
    for (const [layer, x] of features.entries()) {
      const { p4, items } = rowItems(layers[layer]!.features, this.variant)
      for (const { firstItem, items: chunkItems, reference, sums, squares } of this.#chunks[layer]!)
        gpu.dispatch(kernels.analysis_class_accumulate, {
          constants,
          conditions: { P4: p4 },
          buffers: { x, order, scales, seen: this.#seen, reference, sums, squares },
          params: { rows, firstRow, items, firstItem, chunkItems, classes, layer },
          workgroups: groups(chunkItems),
        })
    }
    gpu.dispatch(kernels.analysis_class_count, {
      constants,
      buffers: { order, scales, counts: this.#counts, zeroRows: this.#zeroRows, seen: this.#seen },
      params: { layers: layers.length, rows, classes },
      workgroups: groups(layers.length * (classes + 1)),
    })
    order.release()
  }

  /**
   * R² of each layer over all batches so far; null, with the reason, where it is undefined.
   *
   * @throws Error when no batch was added, or labels on the device were out of range
   */
  async result(): Promise<SeparationResult[]> {
    const { gpu, layers, classes } = this
    const counts = await gpu.read(this.#counts)
    const zeroRows = await gpu.read(this.#zeroRows)
    const outside = counts[classes]!
    if (outside > 0)
      throw new Error(`labels: ${outside} labels are ${classes} or more, the number of classes`)
    if (counts.every((count) => count === 0))
      throw new Error('class separation: no batch was added')
    const results: SeparationResult[] = []
    for (const [i, layer] of layers.entries()) {
      const zeros = zeroRows.subarray(i * (classes + 1), (i + 1) * (classes + 1))
      results.push(separationOf(layer, counts, zeros, await this.#terms(i), this.distance))
    }
    return results
  }

  /** The running sums of a layer, in chunks of its features; they stay this object's. */
  chunks(layer: number): readonly FeatureChunk[] {
    return this.#chunks[layer]!
  }

  /** [classes + 1]: examples of each class so far, and those with a label out of range. */
  get counts(): GpuArray<'u32'> {
    return this.#counts
  }

  /** Forgets all batches. */
  reset(): void {
    for (const array of this.#arrays()) this.gpu.clear(array)
  }

  release(): void {
    for (const array of this.#arrays()) array.release()
  }

  #arrays(): GpuArray[] {
    const chunks = this.#chunks.flat().flatMap((c) => [c.reference, c.sums, c.squares])
    return [...chunks, this.#counts, this.#zeroRows, this.#seen]
  }

  /** Sums for as many features at a time as a kernel can bind. */
  #chunksOf({ layer, features }: Layer): FeatureChunk[] {
    const { gpu, classes } = this
    const { width, items } = rowItems(features, this.variant)
    const most = Math.min(
      Math.floor(bindingLimit(gpu) / classes / width),
      MAX_WORKGROUPS * gpu.profile.lanes,
    )
    const chunks: FeatureChunk[] = []
    for (let firstItem = 0; firstItem < items; firstItem += most) {
      const count = Math.min(most, items - firstItem)
      chunks.push({
        firstItem,
        items: count,
        reference: gpu.zeros('f32', [count * width], `reference of ${layer}`),
        sums: gpu.zeros('f32', [classes, count * width], `class sums of ${layer}`),
        squares: gpu.zeros('f32', [classes, count], `class squares of ${layer}`),
      })
    }
    return chunks
  }

  /** [3, classes + 1] of shaders/analysis/class_terms.wesl, summed over a layer's features. */
  async #terms(layer: number): Promise<Float64Array> {
    const { gpu, classes } = this
    const { lanes } = gpu.profile
    const { p4 } = rowItems(this.layers[layer]!.features, this.variant)
    const counts = this.#counts
    const total = new Float64Array(3 * (classes + 1))
    for (const { items, sums, squares } of this.#chunks[layer]!) {
      const means = gpu.empty('f32', [items * (p4 ? 4 : 1)], 'mean of class means')
      const parts = gpu.empty('f32', [lanes, 3, classes + 1], 'class terms')
      const terms = gpu.empty('f32', [3, classes + 1], 'class terms')
      const call = {
        constants: { LANES: lanes },
        conditions: { P4: p4, BY_EXAMPLE: false },
        params: { items, classes },
      } as const
      gpu.dispatch(kernels.analysis_class_means, {
        ...call,
        buffers: { sums, counts, means },
        workgroups: [Math.ceil(items / lanes), 1, 1],
      })
      gpu.dispatch(kernels.analysis_class_terms, {
        ...call,
        buffers: { sums, squares, means, counts, terms: parts },
        workgroups: [classes + 1, 1, 1],
      })
      sumSlices(gpu, parts, terms, lanes)
      for (const [i, value] of (await gpu.read(terms)).entries()) total[i]! += value
      for (const array of [means, parts, terms]) array.release()
    }
    return total
  }
}
