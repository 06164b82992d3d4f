import { inverse, Matrix } from 'ml-matrix'
import { convolve, convolveBackwardWeights } from '../autograd/convolution.ts'
import { productShape } from '../autograd/convolutionShape.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { centredClassMeans, type LayerSums, subtractClassMeans } from './classMeans.ts'
import { ClassSeparation } from './classSeparation.ts'
import { type CollapseOptions, type CollapseResult, collapseOf } from './collapseResult.ts'
import { bindingLimit, checkBatch, type Layer } from './features.ts'
import { type Labels, withLabels } from './labels.ts'
import { sliceOf } from './slice.ts'
import { eigenvalueNoise, symmetricEigen, symmetricMatrix } from './symmetricEigen.ts'
import { UpperGram } from './upperGram.ts'

/** What the second pass needs of the class means. */
interface Modes {
  /** [2 classes, 2 classes] in float64: products of all centred class means and weights. */
  readonly products: Matrix
  /** The classes that occur. */
  readonly present: readonly number[]
  readonly n: number
  /** Eigenvalues of the class means' products, those that are not rounding. */
  readonly values: readonly number[]
  /** [features, values]: the directions of the class means, about orthonormal; none without values. */
  readonly directions: GpuArray<'f32'> | undefined
  /** [values, values]: their products, which say how far they are from that. */
  readonly metric: GpuArray<'f32'> | undefined
  /** [values, values]: sum over examples of the products of deviations along the directions. */
  readonly spread: GpuArray<'f32'> | undefined
}

/**
 * The eight measures of neural collapse of Kornblith et al. 2021, Table E.2 (Papyan, Han and Donoho
 * 2020), of one layer and the classifier's weights, in two passes over the features: `add` every
 * batch, await `centre`, then `addDeviations` every batch again.
 *
 * Tr(SW SB^+) / C comes from the C x C products of the class means, whose eigenvectors give the
 * directions in which they differ; the second pass projects what is left of each example there. The
 * P x P covariances are never made. Eigenvalues at the level of float32's rounding count as 0.
 */
export class NeuralCollapse {
  readonly #moments: ClassSeparation
  readonly #layers: readonly [Layer]
  #modes: Modes | undefined
  #deviations = 0

  /** @throws Error when the class means exceed what this device binds at once */
  constructor(
    private readonly gpu: Gpu,
    layer: Layer,
    private readonly classes: number,
    private readonly options: CollapseOptions = {},
  ) {
    this.#layers = [layer]
    if (classes * layer.features > bindingLimit(gpu))
      throw new Error(
        `${layer.layer}: class means of ${classes} classes and ${layer.features} features exceed the ${bindingLimit(gpu)} values that this device binds at once`,
      )
    this.#moments = new ClassSeparation(gpu, this.#layers, classes, {}, 'euclidean')
  }

  /**
   * Adds a batch to the first pass.
   *
   * @param x [n, ...]
   * @param labels [n], each below the number of classes
   * @throws Error on a shape that does not fit, a label out of range, or after `centre`
   */
  add(x: GpuArray<'f32'>, labels: Labels): void {
    if (this.#modes) throw new Error('neural collapse: add came after centre')
    this.#moments.add([x], labels)
  }

  /**
   * Ends the first pass.
   *
   * @param weights [classes, features] of the last layer, as PyTorch stores it, if there are any
   * @throws Error when their shape does not fit or no batch was added
   */
  async centre(weights?: GpuArray<'f32'>): Promise<void> {
    const { gpu, classes } = this
    const [{ features }] = this.#layers
    if (weights && `${weights.shape}` !== `${[classes, features]}`)
      throw new Error(
        `neural collapse: weights are [${weights.shape}], expected [${classes},${features}]`,
      )
    const counts = (await gpu.read(this.#moments.counts)).subarray(0, classes)
    const present = [...counts.keys()].filter((k) => counts[k]! > 0)
    if (present.length === 0) throw new Error('neural collapse: no batch was added')
    const means = centredClassMeans(gpu, this.#sums())
    const rows = gpu.zeros('f32', [2, classes, features], 'class means and weights')
    gpu.copy(means, sliceOf(rows, 0, classes * features))
    if (weights) gpu.copy(weights, sliceOf(rows, classes * features, classes * features))
    const gram = new UpperGram(gpu, 2 * classes, { centre: false })
    gram.add(rows, features)
    const upper = gram.take()
    const products = symmetricMatrix(await gpu.read(upper), gram.stride, 2 * classes)
    for (const array of [rows, upper, gram]) array.release()
    const ofMeans = products.selection([...present], [...present])
    const usable = ofMeans.to1DArray().every(Number.isFinite)
    const { values, vectors } = usable
      ? symmetricEigen(ofMeans)
      : { values: [], vectors: new Matrix(0, 0) }
    const noise = usable ? eigenvalueNoise(ofMeans) : 0
    const kept = values.filter((value) => value > noise)
    const n = counts.reduce((a, b) => a + b, 0)
    const r = kept.length
    const empty = { directions: undefined, metric: undefined, spread: undefined }
    this.#modes = { products, present, n, values: kept, ...empty }
    if (r > 0) {
      const scaled = new Float32Array(classes * r)
      for (const [row, k] of present.entries())
        for (let j = 0; j < r; j++) scaled[k * r + j] = vectors.get(row, j) / Math.sqrt(kept[j]!)
      const combination = gpu.upload('f32', [classes, r], scaled, 'eigenvectors')
      const directions = gpu.empty('f32', [features, r], 'directions')
      const metric = gpu.empty('f32', [r, r], 'metric')
      convolveBackwardWeights(gpu, productShape(classes, features, r), {
        x: means,
        dy: combination,
        dw: directions,
      })
      squareProduct(gpu, directions, metric)
      combination.release()
      const spread = gpu.zeros('f32', [r, r], 'spread along directions')
      this.#modes = { ...this.#modes, directions, metric, spread }
    }
    means.release()
  }

  /** Adds a batch to the second pass; as `add`. @throws Error before `centre` */
  addDeviations(x: GpuArray<'f32'>, labels: Labels): void {
    const { gpu, classes } = this
    const modes = this.#modes
    if (!modes) throw new Error('neural collapse: addDeviations came before centre')
    const rows = checkBatch('neural collapse', this.#layers, [x])
    withLabels(gpu, labels, rows, classes, (onDevice) => {
      this.#deviations += rows
      const { directions, spread } = modes
      if (!directions || !spread) return
      const [features, r] = directions.shape as [number, number]
      const deviations = subtractClassMeans(gpu, this.#sums(), x, onDevice)
      const along = gpu.empty('f32', [rows, r], 'deviations along directions')
      convolve(gpu, productShape(rows, features, r), { x: deviations, w: directions, y: along })
      const part = gpu.empty('f32', [r, r], 'spread of a batch')
      squareProduct(gpu, along, part)
      gpu.dispatch(kernels.elementwise_accumulate, {
        ...elementwiseCall(gpu, spread, {}),
        buffers: { x: part, y: spread },
      })
      for (const array of [deviations, along, part]) array.release()
    })
  }

  /**
   * The measures; null, with the reason, where one is undefined.
   *
   * @throws Error when the passes saw unlike numbers of examples
   */
  async result(): Promise<CollapseResult> {
    const { gpu } = this
    const modes = this.#modes
    if (!modes) throw new Error('neural collapse: result came before centre')
    if (modes.n !== this.#deviations)
      throw new Error(
        `neural collapse: the passes saw ${modes.n} and ${this.#deviations} examples, expected the same`,
      )
    const { values, metric, spread, n } = modes
    let trace = 0
    if (metric && spread) {
      const r = values.length
      const inverseMetric = inverse(symmetricMatrix(await gpu.read(metric), r, r))
      const inner = symmetricMatrix(await gpu.read(spread), r, r)
      const weighted = inverseMetric.mmul(Matrix.diag(values.map((v) => 1 / v))).mmul(inverseMetric)
      for (let i = 0; i < r; i++)
        for (let j = 0; j < r; j++) trace += (weighted.get(i, j) * inner.get(j, i)) / n
    }
    return collapseOf({ ...modes, classes: this.classes, trace }, this.options)
  }

  release(): void {
    this.#moments.release()
    const { directions, metric, spread } = this.#modes ?? {}
    for (const array of [directions, metric, spread]) array?.release()
  }

  #sums(): LayerSums {
    const { counts } = this.#moments
    const [{ features }] = this.#layers
    return { features, chunks: this.#moments.chunks(0), counts, variant: {} }
  }
}

/** y = x^T x, of x [n, m]. */
function squareProduct(gpu: Gpu, x: GpuArray<'f32'>, y: GpuArray<'f32'>): void {
  const [n, m] = x.shape as [number, number]
  convolveBackwardWeights(gpu, productShape(n, m, m), { x, dy: x, dw: y })
}
