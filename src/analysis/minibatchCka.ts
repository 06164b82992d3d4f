import { type ConvolutionShape, convolveBackwardData } from '../autograd/convolution.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'
import { foldWorkgroups } from '../gpu/workgroups.ts'
import { columnItems, featureShape } from './features.ts'

export interface CkaResult {
  /** [layers of A][layers of B]; null where it is undefined. */
  readonly matrix: readonly (readonly (number | null)[])[]
  /** Why a value is null, by `LAYER_A/LAYER_B`. */
  readonly undefined: Readonly<Record<string, string>>
  /** Mean HSIC of each pair, and of each layer with itself. */
  readonly hsicXY: readonly (readonly number[])[]
  readonly hsicXX: readonly number[]
  readonly hsicYY: readonly number[]
  readonly n: number
  readonly batches: number
}

// Slices of one buffer must start at multiples of 256 bytes.
const STRIDE = 64

/** Matrices [n, n] one behind the other, each padded with zeros to `stride` elements. */
interface Grams {
  readonly array: GpuArray<'f32'>
  readonly layers: number
  readonly stride: number
}

/**
 * Linear CKA between all layers of two networks from minibatches, with the unbiased estimator:
 *
 *   CKA = mean_i HSIC_1(K_i, L_i) / sqrt(mean_i HSIC_1(K_i, K_i) * mean_i HSIC_1(L_i, L_i))
 *
 * over minibatches i (Nguyen, Raghu & Kornblith 2021, eq. 2 and 3; Song et al. 2012 for HSIC_1, in
 * its U-centred form, Szekely & Rizzo 2014). Each HSIC is normalised by n (n - 3) and weighted by
 * its n, so that an uneven last batch counts for what it is.
 *
 * `add` only records device work on scratch of its own, so it may be recorded into a program.
 */
export class MinibatchCka {
  readonly #sums: GpuArray<'f32'>
  readonly #examples: GpuArray<'u32'>

  constructor(
    private readonly gpu: Gpu,
    private readonly layersA: readonly string[],
    private readonly layersB: readonly string[],
  ) {
    const [a, b] = [layersA.length, layersB.length]
    if (a === 0 || b === 0) throw new Error('CKA needs at least one layer of each network')
    this.#sums = gpu.zeros('f32', [a * b + a + b], 'HSIC')
    this.#examples = gpu.zeros('u32', [2], 'CKA examples')
  }

  /**
   * Adds a minibatch: for each layer its activations [n, ...] on the same n examples.
   *
   * @throws Error on a layer too few, examples that differ in number, or fewer than 4 examples
   */
  add(featuresA: readonly GpuArray<'f32'>[], featuresB: readonly GpuArray<'f32'>[]): void {
    const { gpu, layersA, layersB } = this
    const n = this.#check(featuresA, featuresB)
    const a = this.#grams(layersA, featuresA, n)
    const b = this.#grams(layersB, featuresB, n)
    const [rows, columns] = [layersA.length, layersB.length]
    const scale = 1 / (n - 3)
    const pairs = (left: Grams, right: Grams, diagonal: boolean, offset: number) =>
      gpu.dispatch(kernels.analysis_hsic, {
        constants: { LANES: gpu.profile.lanes },
        conditions: { DIAGONAL: diagonal },
        buffers: { a: left.array, b: right.array, hsic: this.#sums },
        params: { columns: right.layers, stride: left.stride / 4, offset, scale },
        workgroups: diagonal ? [left.layers, 1, 1] : [right.layers, left.layers, 1],
      })
    pairs(a, b, false, 0)
    pairs(a, a, true, rows * columns)
    pairs(b, b, true, rows * columns + rows)
    gpu.dispatch(kernels.analysis_count_batch, {
      buffers: { counts: this.#examples },
      params: { examples: n },
      workgroups: [1, 1, 1],
    })
    a.array.release()
    b.array.release()
  }

  /** Brings the sums to the host and divides. */
  async result(): Promise<CkaResult> {
    const { layersA, layersB } = this
    const sums = await this.gpu.read(this.#sums)
    const [n, batches] = await this.gpu.read(this.#examples)
    const [rows, columns] = [layersA.length, layersB.length]
    const mean = (index: number) => sums[index]! / n!
    const hsicXY = layersA.map((_, i) => layersB.map((__, j) => mean(i * columns + j)))
    const hsicXX = layersA.map((_, i) => mean(rows * columns + i))
    const hsicYY = layersB.map((_, j) => mean(rows * columns + rows + j))
    const reasons: Record<string, string> = {}
    const matrix = layersA.map((a, i) =>
      layersB.map((b, j) => {
        const self = hsicXX[i]! > 0 ? (hsicYY[j]! > 0 ? undefined : b) : a
        if (self === undefined) return hsicXY[i]![j]! / Math.sqrt(hsicXX[i]! * hsicYY[j]!)
        reasons[`${a}/${b}`] =
          `the features of ${self} do not vary: HSIC with itself is not positive`
        return null
      }),
    )
    return { matrix, undefined: reasons, hsicXY, hsicXX, hsicYY, n: n!, batches: batches! }
  }

  release(): void {
    this.#sums.release()
    this.#examples.release()
  }

  #check(a: readonly GpuArray<'f32'>[], b: readonly GpuArray<'f32'>[]): number {
    const { layersA, layersB } = this
    if (a.length !== layersA.length || b.length !== layersB.length)
      throw new Error(
        `CKA: ${a.length} and ${b.length} layers came, expected ${layersA.length} and ${layersB.length}`,
      )
    const names = [...layersA, ...layersB]
    const sizes = [...a, ...b].map((features, i) => featureShape(names[i]!, features).n)
    const [n] = sizes
    for (const [i, size] of sizes.entries())
      if (size !== n) throw new Error(`CKA: ${names[i]} has ${size} examples, ${names[0]} has ${n}`)
    if (n! < 4)
      throw new Error(`CKA: a minibatch has ${n} examples, the unbiased estimator needs at least 4`)
    return n!
  }

  /** U-centred Gram matrices of each layer, stacked. */
  #grams(layers: readonly string[], features: readonly GpuArray<'f32'>[], n: number): Grams {
    const { gpu } = this
    const { lanes } = gpu.profile
    const stride = Math.ceil((n * n) / STRIDE) * STRIDE
    const array = gpu.zeros('f32', [layers.length, stride], 'Gram matrices')
    for (const [i, x] of features.entries()) {
      const { p } = featureShape(layers[i]!, x)
      const { p4, items } = columnItems(p)
      const centred = gpu.empty('f32', [n, p], 'centred features')
      gpu.dispatch(kernels.analysis_centre_columns, {
        constants: { LANES: lanes },
        conditions: { P4: p4 },
        buffers: { x, y: centred },
        params: { rows: n, items },
        workgroups: foldWorkgroups(Math.ceil(items / lanes)),
      })
      const gram = new GpuArray('f32', [n, n], array.storage, array.offset + i * stride * 4)
      convolveBackwardData(gpu, gramShape(n, p), { dy: centred, w: centred, dx: gram })
      centred.release()
    }
    const means = gpu.empty('f32', [layers.length, n], 'U-centring means')
    const call = {
      constants: { LANES: lanes },
      params: { n, stride },
      workgroups: [Math.ceil(n / lanes), layers.length, 1],
    } as const
    gpu.dispatch(kernels.analysis_u_centre_means, { ...call, buffers: { grams: array, means } })
    gpu.dispatch(kernels.analysis_u_centre, { ...call, buffers: { means, grams: array } })
    means.release()
    return { array, layers: layers.length, stride }
  }
}

/** X X^T as the data gradient of a 1x1 convolution: dx[i, j] = sum over p of dy[i, p] w[j, p]. */
function gramShape(n: number, p: number): ConvolutionShape {
  return {
    batch: n,
    inHeight: 1,
    inWidth: 1,
    inChannels: n,
    outHeight: 1,
    outWidth: 1,
    outChannels: p,
    kernelHeight: 1,
    kernelWidth: 1,
    strideH: 1,
    strideW: 1,
    padH: 0,
    padW: 0,
    dilationH: 1,
    dilationW: 1,
  }
}
