import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { type AnalysisVariant, checkBatch, checkLayers, type Layer } from './features.ts'
import {
  ROWS_TOGETHER,
  type RowStatistics,
  releaseRowStatistics,
  rowRanges,
  rowStatistics,
} from './rowStatistics.ts'

export interface SparsityResult extends Layer {
  /** Share of values that are not exactly 0, the mean over examples, 0..1. */
  readonly nonZero: number
  /** Examples seen. */
  readonly n: number
}

/**
 * Share of exactly non-zero values of many layers, in one streaming pass (Kornblith et al. 2021,
 * section 3.2). Counts are exact integers, whatever their size.
 *
 * `add` only records device work, so a batch may be recorded into a program and replayed.
 */
export class Sparsity {
  readonly #totals: GpuArray<'u32'>

  /** @throws Error when there are no layers, or one has no features */
  constructor(
    private readonly gpu: Gpu,
    private readonly layers: readonly Layer[],
    private readonly variant: AnalysisVariant = {},
  ) {
    checkLayers('sparsity', layers)
    this.#totals = gpu.zeros('u32', [layers.length * ROWS_TOGETHER + 1, 2], 'non-zero totals')
  }

  /**
   * Adds a batch.
   *
   * @param features of each layer [n, ...], on the same n examples
   * @throws Error on a layer whose shape does not fit
   */
  add(features: readonly GpuArray<'f32'>[]): void {
    for (const range of rowRanges(checkBatch('sparsity', this.layers, features))) {
      const statistics = rowStatistics(this.gpu, features, range, this.variant)
      this.addRows(statistics)
      releaseRowStatistics(statistics)
    }
  }

  /** Adds rows of which `rowStatistics` knows already. */
  addRows({ nonZero }: Pick<RowStatistics, 'nonZero'>): void {
    const { lanes } = this.gpu.profile
    const [layers, rows] = nonZero.shape as readonly [number, number]
    this.gpu.dispatch(kernels.analysis_nonzero_accumulate, {
      constants: { LANES: lanes, SLOTS: ROWS_TOGETHER },
      buffers: { nonZero, totals: this.#totals },
      params: { layers, rows },
      workgroups: [Math.ceil((layers * rows) / lanes), 1, 1],
    })
  }

  /** @throws Error when no batch was added */
  async result(): Promise<SparsityResult[]> {
    const words = await this.gpu.read(this.#totals)
    const total = (first: number, count: number) => {
      let sum = 0
      for (let i = 2 * first; i < 2 * (first + count); i += 2)
        sum += words[i]! + words[i + 1]! * 2 ** 32
      return sum
    }
    const n = total(this.layers.length * ROWS_TOGETHER, 1)
    if (n === 0) throw new Error('sparsity: no batch was added')
    return this.layers.map(({ layer, features }, i) => ({
      layer,
      features,
      nonZero: total(i * ROWS_TOGETHER, ROWS_TOGETHER) / (n * features),
      n,
    }))
  }

  /** Forgets all batches. */
  reset(): void {
    this.gpu.clear(this.#totals)
  }

  release(): void {
    this.#totals.release()
  }
}
