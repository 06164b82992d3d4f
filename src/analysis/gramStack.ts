import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { type AnalysisVariant, bindingLimit } from './features.ts'
import { type GramStep, gramStride, UpperGram } from './upperGram.ts'

/** How HSIC is estimated: HSIC_1 of U-centred Gram matrices, or HSIC_0 of doubly centred ones. */
export type Estimator = 'unbiased' | 'biased'

/** Rows of all layers' Gram matrices: grams [layers, rows, stride]. */
export interface GramBand {
  readonly firstRow: number
  readonly rows: number
  readonly grams: GpuArray<'f32'>
}

/** Bytes on the device of a stack and of what one layer's product needs beside it. */
export function gramStackBytes(layers: number, rows: number): number {
  const stride = gramStride(rows)
  return 4 * stride * (layers * rows + 2 * stride)
}

/**
 * Centred Gram matrices K = X X^T of several layers on the same examples, stacked for products of
 * all pairs. Where the stack would exceed what a kernel can bind, it is cut into bands of rows.
 *
 * All calls only record device work; what is allocated lives until `release`.
 */
export class GramStack {
  /** Examples rounded up to whole tiles; columns beyond the examples are zero. */
  readonly stride: number
  readonly bands: readonly GramBand[]
  /** [layers, 2]: the sum of each matrix and its trace, set by `centre`. */
  readonly totals: GpuArray<'f32'>
  readonly #margins: GpuArray<'f32'>
  readonly #done = new Set<number>()
  #open: { readonly layer: number; readonly gram: UpperGram } | undefined

  /** @param block elements of the largest block of transposed features */
  constructor(
    private readonly gpu: Gpu,
    private readonly layers: number,
    private readonly rows: number,
    private readonly estimator: Estimator,
    private readonly variant: AnalysisVariant,
    private readonly block: number,
  ) {
    this.stride = gramStride(rows)
    const bandRows = Math.min(rows, Math.floor(bindingLimit(gpu) / (layers * this.stride)))
    if (this.stride ** 2 > bindingLimit(gpu) || bandRows < 1)
      throw new Error(
        `CKA: Gram matrices of ${rows} examples exceed what this device binds, expected smaller minibatches`,
      )
    const bands: GramBand[] = []
    for (let firstRow = 0; firstRow < rows; firstRow += bandRows) {
      const count = Math.min(bandRows, rows - firstRow)
      const grams = gpu.empty('f32', [layers, count, this.stride], 'Gram matrices')
      bands.push({ firstRow, rows: count, grams })
    }
    this.bands = bands
    this.#margins = gpu.empty('f32', [layers, 2, this.stride], 'Gram margins')
    this.totals = gpu.empty('f32', [layers, 2], 'Gram totals')
  }

  /**
   * Adds features to a layer's matrix: rows firstRow .. firstRow + rows of x, seen as [., p]. All
   * features of a layer come before those of the next.
   *
   * @throws Error when features of another layer came since this one's
   */
  add(layer: number, x: GpuArray<'f32'>, p: number, firstRow: number): void {
    for (const _ of this.steps(layer, x, p, firstRow));
  }

  /** What `add` does, step by step; says after each what it recorded. */
  *steps(layer: number, x: GpuArray<'f32'>, p: number, firstRow: number): Generator<GramStep> {
    yield* this.#opened(layer).steps(x, p, firstRow)
  }

  /** Ends the layer whose features came last: its matrix takes its place in the stack. */
  finish(): void {
    const { gpu, rows, stride } = this
    const open = this.#open
    if (!open) return
    const { layer } = open
    const upper = open.gram.take()
    open.gram.release()
    for (const { firstRow, rows: bandRows, grams } of this.bands)
      gpu.dispatch(kernels.analysis_gram_mirror, {
        constants: { LANES: gpu.profile.lanes },
        conditions: { BIASED: this.estimator === 'biased' },
        buffers: { upper, grams, margins: this.#margins },
        params: { rows, stride, layer, firstRow, bandRows },
        workgroups: [Math.ceil(stride / gpu.profile.lanes), 1, 1],
      })
    upper.release()
    this.#done.add(layer)
    this.#open = undefined
  }

  /**
   * Centres all matrices and scales each by its entry of `scales`, which the first batch sets.
   *
   * @param counts batches before this one in its first element
   * @throws Error when a layer had no features
   */
  centre(counts: GpuArray<'u32'>, scales: GpuArray<'f32'>): void {
    this.finish()
    if (this.#done.size < this.layers)
      throw new Error(
        `CKA: a minibatch has features of ${this.#done.size} layers, expected ${this.layers}`,
      )
    const { gpu, layers, rows: n, stride, totals } = this
    const margins = this.#margins
    const constants = { LANES: gpu.profile.lanes }
    gpu.dispatch(kernels.analysis_gram_totals, {
      constants,
      buffers: { margins, counts, totals, scales },
      params: { layers, rows: n, stride },
      workgroups: [Math.ceil(layers / constants.LANES), 1, 1],
    })
    const biased = this.estimator === 'biased'
    const a = biased ? 1 / n : 1 / (n - 2)
    const b = biased ? 1 / n ** 2 : 1 / ((n - 1) * (n - 2))
    for (const { firstRow, rows: bandRows, grams } of this.bands)
      gpu.dispatch(kernels.analysis_gram_centre, {
        constants,
        conditions: { BIASED: biased },
        buffers: { margins, totals, scales, grams },
        params: { rows: n, stride, firstRow, bandRows, a, b },
        workgroups: [Math.ceil(stride / 4 / constants.LANES), layers, 1],
      })
  }

  release(): void {
    for (const { grams } of this.bands) grams.release()
    this.#margins.release()
    this.totals.release()
    this.#open?.gram.release()
  }

  #opened(layer: number): UpperGram {
    if (this.#open?.layer === layer) return this.#open.gram
    if (this.#done.has(layer))
      throw new Error(`CKA: features of layer ${layer} came after those of another layer`)
    this.finish()
    const { variant, block } = this
    const gram = new UpperGram(this.gpu, this.rows, { centre: true, variant, block })
    this.#open = { layer, gram }
    return gram
  }
}
