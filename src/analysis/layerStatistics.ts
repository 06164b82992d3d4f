import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { foldWorkgroups } from '../gpu/workgroups.ts'
import { columnItems, featureShape } from './features.ts'

export interface LayerStatistic {
  readonly layer: string
  /** Activations of an example, p. */
  readonly features: number
  /**
   * Class separation R² (eq. 11): one minus the mean cosine distance within classes over that
   * between any two examples, classes weighted alike; null where it is undefined.
   */
  readonly r2: number | null
  /** Why `r2` is null. */
  readonly undefined?: string
  /** Share of activations that are not exactly zero, 0..1. */
  readonly nonZero: number
}

/** Below this the mean distance between examples is lost in f32's rounding. */
const SMALLEST_SPREAD = 1e-6

/** Counters of non-zero values a layer: one a workgroup, so that no two add to one. */
const COUNTERS = 16

/**
 * Class separation and sparsity of many layers in one streaming pass: a batch's activations are
 * seen once, and only two numbers and a few counts a layer come back to the host.
 *
 * With unit rows u and class means m_k of them, the mean cosine similarity over pairs within class
 * k, pairs of an example with itself included, is |m_k|², and over pairs from classes drawn alike
 * |mbar|², so R² = (mean_k |m_k|² - |mbar|²) / (1 - |mbar|²) without a loop over pairs. A row of
 * zeros has similarity 0 to everything, itself included.
 */
export class LayerStatistics {
  readonly #counts: GpuArray<'u32'>
  readonly #sums: GpuArray<'f32'>[]
  readonly #nonZero: GpuArray<'u32'>
  readonly #examples: GpuArray<'u32'>

  /** @param layers names and features an example, p, of each layer */
  constructor(
    private readonly gpu: Gpu,
    private readonly layers: readonly { readonly layer: string; readonly features: number }[],
    private readonly classes: number,
  ) {
    if (!Number.isInteger(classes) || classes < 1)
      throw new Error(`class separation: classes is ${classes}, expected an integer of at least 1`)
    this.#counts = gpu.zeros('u32', [classes], 'class counts')
    this.#sums = layers.map(({ layer, features }) =>
      gpu.zeros('f32', [classes, features], `class sums of ${layer}`),
    )
    this.#nonZero = gpu.zeros('u32', [layers.length, COUNTERS], 'non-zero counts')
    this.#examples = gpu.zeros('u32', [2], 'examples')
  }

  /**
   * Adds a batch. Only records device work, so it may be recorded into a program.
   *
   * @param features of each layer [n, ...], on the same n examples
   * @param labels [n], each below the number of classes
   * @throws Error on a layer whose shape does not fit
   */
  add(features: readonly GpuArray<'f32'>[], labels: GpuArray<'u32'>): void {
    const { gpu, layers, classes } = this
    const { lanes } = gpu.profile
    const rows = labels.length
    if (features.length !== layers.length)
      throw new Error(`${features.length} layers came, expected ${layers.length}`)
    for (const [i, array] of features.entries()) {
      const { n, p } = featureShape(layers[i]!.layer, array)
      if (n !== rows || p !== layers[i]!.features)
        throw new Error(
          `${layers[i]!.layer}: features are [${array.shape}], expected ${rows} rows of ${layers[i]!.features}`,
        )
    }
    const constants = { LANES: lanes }
    gpu.dispatch(kernels.analysis_class_counts, {
      constants,
      buffers: { labels, counts: this.#counts },
      params: { rows, classes },
      workgroups: [Math.ceil(classes / lanes), 1, 1],
    })
    gpu.dispatch(kernels.analysis_count_batch, {
      buffers: { counts: this.#examples },
      params: { examples: rows },
      workgroups: [1, 1, 1],
    })
    const weights = gpu.empty('f32', [rows], 'inverse norms')
    for (const [i, x] of features.entries()) {
      const p = layers[i]!.features
      const { p4, items } = columnItems(p)
      gpu.dispatch(kernels.analysis_inverse_norms, {
        constants,
        conditions: { P4: p4 },
        buffers: { x, y: weights },
        params: { rows, items },
        workgroups: [Math.ceil(rows / lanes), 1, 1],
      })
      const batch = gpu.empty('f32', [classes, p], 'class sums of a batch')
      gpu.dispatch(kernels.analysis_class_sums, {
        constants,
        conditions: { P4: p4 },
        buffers: { x, labels, weights, batch, y: this.#sums[i]! },
        params: { rows, items, classes },
        workgroups: foldWorkgroups(Math.ceil(items / lanes)),
      })
      batch.release()
      gpu.dispatch(kernels.analysis_count_nonzero, {
        constants,
        buffers: { x, counts: this.#nonZero },
        params: { length: x.length, offset: i * COUNTERS },
        workgroups: [COUNTERS, 1, 1],
      })
    }
    weights.release()
  }

  /** The statistics of all batches so far. */
  async result(): Promise<LayerStatistic[]> {
    const { gpu, layers, classes } = this
    const similarities = gpu.empty('f32', [layers.length, 2], 'similarities')
    for (const [i, { features }] of layers.entries())
      gpu.dispatch(kernels.analysis_mean_similarities, {
        constants: { LANES: gpu.profile.lanes },
        buffers: { sums: this.#sums[i]!, counts: this.#counts, y: similarities },
        params: { classes, features, offset: 2 * i },
        workgroups: [1, 1, 1],
      })
    const values = await gpu.read(similarities)
    const counts = await gpu.read(this.#counts)
    const nonZero = await gpu.read(this.#nonZero)
    const [examples] = await gpu.read(this.#examples)
    similarities.release()
    const occurring = counts.filter((count) => count > 0).length
    return layers.map(({ layer, features }, i) => {
      const within = values[2 * i]!
      const between = values[2 * i + 1]!
      const counted = nonZero.subarray(i * COUNTERS, (i + 1) * COUNTERS)
      const share = counted.reduce((sum, count) => sum + count, 0) / (examples! * features)
      const why =
        occurring < 2
          ? `only ${occurring} class occurs`
          : 1 - between < SMALLEST_SPREAD
            ? 'all examples have the same direction'
            : undefined
      return why
        ? { layer, features, r2: null, undefined: why, nonZero: share }
        : { layer, features, r2: (within - between) / (1 - between), nonZero: share }
    })
  }

  release(): void {
    for (const array of [this.#counts, ...this.#sums, this.#nonZero, this.#examples])
      array.release()
  }
}
