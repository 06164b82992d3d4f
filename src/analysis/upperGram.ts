import { sumSlices } from '../autograd/convolution.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { GpuImage } from '../gpu/gpuImage.ts'
import { type AnalysisVariant, bindingLimit, rowItems } from './features.ts'
import { sliceOf } from './slice.ts'

/** Examples of a panel, and width of the tiles, of shaders/analysis/gram.wesl. */
const TILE = 32
/** Pixels of a feature of a panel. */
const PIXELS = TILE / 4
/** Features of the longest chain of sums, and of the longest line of an image. */
const LONGEST_RUN = 1024
/** Shortest slice whose product outweighs its launch and its part in the sum over slices. */
const SHORTEST_SLICE = 64
/** Elements of the largest block of transposed features: wide layers need no second copy. */
export const LARGEST_BLOCK = 2 ** 22

/** What `UpperGram.steps` recorded. */
export type GramStep = 'transposed' | 'multiplied'

/** Examples rounded up to whole tiles. */
export function gramStride(rows: number): number {
  return TILE * Math.ceil(rows / TILE)
}

/** Features of the largest tile that is transposed and multiplied at once: whole runs, equally long. */
export function tileFeatures(gpu: Gpu, rows: number, block = LARGEST_BLOCK): number {
  const most = Math.max(4, Math.floor(Math.min(block, bindingLimit(gpu)) / gramStride(rows)))
  const runs = Math.ceil(most / LONGEST_RUN)
  return runs * 4 * Math.floor(most / runs / 4)
}

/** Features of a run, where so many are cut into the fewest. */
function runOf(features: number): number {
  return 4 * Math.ceil(features / Math.ceil(features / LONGEST_RUN) / 4)
}

export interface UpperGramOptions {
  /** Whether features are taken less their mean over the rows. */
  readonly centre: boolean
  readonly variant?: AnalysisVariant
  /** Elements of the largest block of transposed features. */
  readonly block?: number
}

/**
 * The upper half of a Gram matrix X X^T whose features come in pieces, in memory that does not grow
 * with their number. Calls only record device work.
 */
export class UpperGram {
  readonly stride: number
  readonly #variant: AnalysisVariant
  readonly #tile: number
  /** [slices, stride, stride], once features came. */
  #partials: GpuArray<'f32'> | undefined
  #scratch: GpuArray<'f32'> | undefined
  #image: GpuImage | undefined

  constructor(
    private readonly gpu: Gpu,
    private readonly rows: number,
    private readonly options: UpperGramOptions,
  ) {
    this.stride = gramStride(rows)
    this.#variant = options.variant ?? {}
    this.#tile = tileFeatures(gpu, rows, options.block)
  }

  /** Adds features: rows firstRow .. firstRow + rows of x, seen as [., p]. */
  add(x: GpuArray<'f32'>, p: number, firstRow = 0): void {
    for (const _ of this.steps(x, p, firstRow));
  }

  /** What `add` does, step by step; says after each what it recorded. */
  *steps(x: GpuArray<'f32'>, p: number, firstRow: number): Generator<GramStep> {
    const { gpu, rows, stride } = this
    const { lanes } = gpu.profile
    const { p4, width, items } = rowItems(p, this.#variant)
    const padded = 4 * Math.ceil(p / 4)
    const blockFeatures = this.#tile
    for (let first = 0; first < padded; first += blockFeatures) {
      const left = Math.min(blockFeatures, padded - first)
      const run = runOf(left)
      // Past the last feature of all come zeros.
      const features = run * Math.ceil(left / run)
      const xt = this.#scratchOf(features, blockFeatures)
      const blockItems = features / width
      gpu.dispatch(kernels.analysis_centre_transpose, {
        constants: { LANES: lanes },
        conditions: { P4: p4, CENTRE: this.options.centre },
        buffers: { x, xt },
        params: { rows, stride, firstRow, items, firstItem: first / width, blockItems },
        workgroups: [Math.ceil(blockItems / lanes), 1, 1],
      })
      yield 'transposed'
      this.#multiply(xt, features, run)
      yield 'multiplied'
    }
  }

  /**
   * The matrix [stride, stride] of all features so far, filled where row <= column; the caller
   * releases it, and this object is spent.
   *
   * @throws Error when no features came
   */
  take(): GpuArray<'f32'> {
    const { gpu, stride } = this
    const partials = this.#partials
    if (!partials) throw new Error('a Gram matrix has no features')
    this.#partials = undefined
    const slices = partials.shape[0]!
    if (slices === 1) return partials
    const upper = gpu.empty('f32', [stride, stride], 'Gram matrix')
    sumSlices(gpu, partials, upper, slices)
    partials.release()
    return upper
  }

  release(): void {
    this.#scratch?.release()
    this.#image?.release()
    this.#partials?.release()
    this.#scratch = undefined
    this.#image = undefined
    this.#partials = undefined
  }

  /** Room for a block of transposed features, kept from piece to piece. */
  #scratchOf(features: number, most: number): GpuArray<'f32'> {
    const { gpu, stride } = this
    if (!this.#scratch || this.#scratch.length < features * stride) {
      this.#scratch?.release()
      // Of few sizes, so that a pool that keeps what was released holds no more than twice the most.
      const room = Math.min(most, 2 ** Math.ceil(Math.log2(features)))
      this.#scratch = gpu.empty('f32', [room, stride], 'transposed features')
    }
    return this.#scratch
  }

  /** xt as an image with a line a run of a panel, where the device reads that faster. */
  #imageOf(xt: GpuArray<'f32'>, features: number, run: number): GpuImage | undefined {
    const { gpu, stride } = this
    const { subgroups = true, images = true } = this.#variant
    const { fastImages, subgroups8, lanes } = gpu.profile
    const wanted = fastImages && images && subgroups8 && subgroups && lanes === 8
    const panels = stride / TILE
    const lines = panels * Math.ceil(this.#tile / LONGEST_RUN)
    if (!wanted || lines > gpu.device.limits.maxTextureDimension2D) return undefined
    const width = run * PIXELS
    const height = panels * (features / run)
    if (!this.#image || this.#image.width < width || this.#image.height < height) {
      this.#image?.release()
      // Of few shapes, for the pool's sake.
      this.#image = gpu.image(
        2 ** Math.ceil(Math.log2(width)),
        features > run ? lines : panels,
        'transposed features',
      )
    }
    gpu.copyToImage(sliceOf(xt, 0, features * stride), this.#image, width)
    return this.#image
  }

  /** Adds the upper half of xt^T xt. */
  #multiply(xt: GpuArray<'f32'>, features: number, run: number): void {
    const { gpu, stride } = this
    const { lanes, subgroups8 } = gpu.profile
    const rowTiles = Math.ceil(stride / (4 * lanes))
    const tiles = [
      (2 * stride) / TILE - ((rowTiles - 1) * lanes) / 8,
      Math.ceil(rowTiles / 2),
    ] as const
    const accumulate = this.#partials ? 1 : 0
    const partials = this.#partialsOf(features, tiles[0] * tiles[1])
    const slices = partials.shape[0]!
    const featuresPerSlice = 4 * Math.ceil(features / slices / 4)
    const call = {
      constants: { LANES: lanes },
      params: { features, featuresPerSlice, run, stride, accumulate },
      workgroups: [...tiles, slices],
    } as const
    const image = this.#imageOf(xt, features, run)
    if (image) {
      const buffers = { xt: image, partials }
      gpu.dispatch(kernels.analysis_gram_image, {
        ...call,
        conditions: { ONE_ROW: false },
        buffers,
      })
      return
    }
    const SUBGROUPS8 = (this.#variant.subgroups ?? true) && subgroups8
    gpu.dispatch(kernels.analysis_gram, {
      ...call,
      conditions: { ONE_ROW: false, SUBGROUPS8 },
      buffers: { xt, partials },
    })
  }

  /** The sums so far, or room for them: as many slices as `tiles` tiles leave workgroups to spare. */
  #partialsOf(features: number, tiles: number): GpuArray<'f32'> {
    const { gpu, stride } = this
    if (!this.#partials) {
      const wanted = Math.min(
        Math.ceil((2 * gpu.profile.targetWorkgroups) / tiles),
        Math.ceil(features / SHORTEST_SLICE),
        Math.floor(bindingLimit(gpu) / stride ** 2),
      )
      // Rounding up may leave slices at the end without features.
      const slices = Math.ceil(features / (4 * Math.ceil(features / wanted / 4)))
      this.#partials = gpu.empty('f32', [slices, stride, stride], 'Gram slices')
    }
    return this.#partials
  }
}
