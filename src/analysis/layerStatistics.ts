import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { ClassSeparation } from './classSeparation.ts'
import { type AnalysisVariant, checkBatch, type Layer } from './features.ts'
import { type Labels, withLabels } from './labels.ts'
import { releaseRowStatistics, rowRanges, rowStatistics } from './rowStatistics.ts'
import type { SeparationResult } from './separationResult.ts'
import { Sparsity } from './sparsity.ts'

export interface LayerStatistic extends SeparationResult {
  /** Share of activations that are not exactly 0, 0..1. */
  readonly nonZero: number
}

/**
 * Class separation and sparsity of many layers in one streaming pass, see `ClassSeparation` and
 * `Sparsity`: what both need of a row is computed once.
 */
export class LayerStatistics {
  readonly #separation: ClassSeparation
  readonly #sparsity: Sparsity

  /** @throws Error when there are no layers, one has no features, or classes is below 1 */
  constructor(
    private readonly gpu: Gpu,
    private readonly layers: readonly Layer[],
    private readonly classes: number,
    private readonly variant: AnalysisVariant = {},
  ) {
    this.#separation = new ClassSeparation(gpu, layers, classes, variant)
    this.#sparsity = new Sparsity(gpu, layers, variant)
  }

  /**
   * Adds a batch. Only records device work, so it may be recorded into a program and replayed.
   *
   * @param features of each layer [n, ...], on the same n examples
   * @param labels [n], each below the number of classes, see `ClassSeparation.add`
   * @throws Error on a layer whose shape does not fit, or a label out of range
   */
  add(features: readonly GpuArray<'f32'>[], labels: Labels): void {
    const { gpu, layers, classes } = this
    const rows = checkBatch('layer statistics', layers, features)
    withLabels(gpu, labels, rows, classes, (onDevice) => {
      for (const range of rowRanges(rows)) {
        const statistics = rowStatistics(gpu, features, range, this.variant)
        this.#separation.addRows(features, onDevice, range, statistics)
        this.#sparsity.addRows(statistics)
        releaseRowStatistics(statistics)
      }
    })
  }

  /**
   * The statistics of all batches so far.
   *
   * @throws Error when no batch was added, or labels on the device were out of range
   */
  async result(): Promise<LayerStatistic[]> {
    const separation = await this.#separation.result()
    const sparsity = await this.#sparsity.result()
    return separation.map((result, i) => ({ ...result, nonZero: sparsity[i]!.nonZero }))
  }

  /** Forgets all batches. */
  reset(): void {
    this.#separation.reset()
    this.#sparsity.reset()
  }

  release(): void {
    this.#separation.release()
    this.#sparsity.release()
  }
}
