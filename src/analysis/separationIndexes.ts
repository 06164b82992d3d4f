import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { type LayerSums, type MeanOf, meanOffsets, subtractMean } from './classMeans.ts'
import { ClassSeparation } from './classSeparation.ts'
import { type AnalysisVariant, checkBatch, type Layer } from './features.ts'
import { type Labels, withLabels } from './labels.ts'
import { releaseRowStatistics, rowRanges, rowStatistics } from './rowStatistics.ts'
import type { SeparationResult } from './separationResult.ts'

export interface SeparationOptions {
  /**
   * Which mean the mean-subtracted index takes off: that of all examples (default), or the mean of
   * the class means. The paper does not say; they differ where classes are of unlike sizes.
   */
  readonly centre?: MeanOf
  readonly variant?: AnalysisVariant
}

/** One layer's class separation by the three indexes of Table E.1. */
export interface SeparationIndexesResult extends Layer {
  readonly cosine: SeparationResult
  readonly cosineCentered: SeparationResult
  readonly euclidean: SeparationResult
}

/**
 * Class separation R² by cosine distance, by cosine distance of features less their mean, and by
 * squared Euclidean distance (Kornblith et al. 2021, eq. 11, 12 and Table E.1), see
 * `ClassSeparation`, in two passes over the features: `add` every batch, call `centre`, then
 * `addCentered` every batch again, in any order. `add` and `addCentered` only record device work.
 */
export class SeparationIndexes {
  readonly #cosine: ClassSeparation
  readonly #centered: ClassSeparation
  readonly #euclidean: ClassSeparation
  readonly #variant: AnalysisVariant
  #offsets: GpuArray<'f32'>[][] | undefined

  /** @throws Error when there are no layers, one has no features, or classes is below 1 */
  constructor(
    private readonly gpu: Gpu,
    private readonly layers: readonly Layer[],
    private readonly classes: number,
    private readonly options: SeparationOptions = {},
  ) {
    this.#variant = options.variant ?? {}
    this.#cosine = new ClassSeparation(gpu, layers, classes, this.#variant)
    this.#centered = new ClassSeparation(gpu, layers, classes, this.#variant)
    this.#euclidean = new ClassSeparation(gpu, layers, classes, this.#variant, 'euclidean')
  }

  /**
   * Adds a batch to the first pass.
   *
   * @param features of each layer [n, ...], on the same n examples
   * @param labels [n], each below the number of classes, see `ClassSeparation.add`
   * @throws Error on a layer whose shape does not fit, a label out of range, or after `centre`
   */
  add(features: readonly GpuArray<'f32'>[], labels: Labels): void {
    const { gpu, layers, classes } = this
    if (this.#offsets) throw new Error('class separation: add came after centre')
    const rows = checkBatch('class separation', layers, features)
    withLabels(gpu, labels, rows, classes, (onDevice) => {
      for (const range of rowRanges(rows)) {
        const statistics = rowStatistics(gpu, features, range, this.#variant)
        this.#cosine.addRows(features, onDevice, range, statistics)
        this.#euclidean.addRows(features, onDevice, range, statistics)
        releaseRowStatistics(statistics)
      }
    })
  }

  /** Ends the first pass: fixes the mean that the second one takes off. */
  centre(): void {
    const { centre = 'example' } = this.options
    this.#offsets ??= this.layers.map((_, i) => meanOffsets(this.gpu, this.#sums(i), centre))
  }

  /** Adds a batch to the second pass; as `add`. @throws Error before `centre` */
  addCentered(features: readonly GpuArray<'f32'>[], labels: Labels): void {
    const offsets = this.#offsets
    if (!offsets) throw new Error('class separation: addCentered came before centre')
    checkBatch('class separation', this.layers, features)
    const centered = features.map((x, i) => subtractMean(this.gpu, this.#sums(i), x, offsets[i]!))
    this.#centered.add(centered, labels)
    for (const array of centered) array.release()
  }

  /**
   * All indexes of each layer; null, with the reason, where one is undefined.
   *
   * @throws Error when a pass saw no batch or the two saw unlike numbers of examples, or labels on
   * the device were out of range
   */
  async result(): Promise<SeparationIndexesResult[]> {
    const [cosine, cosineCentered, euclidean] = [
      await this.#cosine.result(),
      await this.#centered.result(),
      await this.#euclidean.result(),
    ]
    const [first, second] = [cosine[0]!.n, cosineCentered[0]!.n]
    if (first !== second)
      throw new Error(
        `class separation: the passes saw ${first} and ${second} examples, expected the same`,
      )
    return this.layers.map((layer, i) => ({
      ...layer,
      cosine: cosine[i]!,
      cosineCentered: cosineCentered[i]!,
      euclidean: euclidean[i]!,
    }))
  }

  #sums(layer: number): LayerSums {
    const { features } = this.layers[layer]!
    const { counts } = this.#euclidean
    return { features, chunks: this.#euclidean.chunks(layer), counts, variant: this.#variant }
  }

  release(): void {
    for (const part of [this.#cosine, this.#centered, this.#euclidean]) part.release()
    for (const array of this.#offsets?.flat() ?? []) array.release()
  }
}
