import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { type CkaResult, whyUndefined } from './ckaResult.ts'
import { type AnalysisVariant, featureShape, type RowRange } from './features.ts'
import { type Estimator, GramStack } from './gramStack.ts'
import { LayerPairs } from './layerPairs.ts'
import { type GramStep, LARGEST_BLOCK } from './upperGram.ts'

export interface CkaOptions {
  /** `unbiased` (default): HSIC_1, for any batch size. `biased`: HSIC_0, near 1 at few examples. */
  readonly estimator?: Estimator
  /** Features x examples that are centred and multiplied at a time, 4 Mi by default. */
  readonly block?: number
  readonly variant?: AnalysisVariant
}

/** A minibatch whose features come in pieces, see `MinibatchCka.minibatch`. */
export interface StreamedMinibatch {
  /**
   * Adds features of a layer: some of them, or all, of all of the minibatch's examples. All features
   * of a layer come before those of the next; the order is free otherwise.
   *
   * @param x [n, ...]
   * @throws Error when n differs, there is no such layer, or another layer's features came between
   */
  add(network: 'a' | 'b', layer: number, x: GpuArray<'f32'>): void
  /** What `add` does, step by step, for who wants to wait for the device between. */
  steps(network: 'a' | 'b', layer: number, x: GpuArray<'f32'>): Generator<GramStep>
  /** Ends the layer whose features came last, which the next one does too: its scratch is given back. */
  endLayer(): void
  /** Adds the minibatch to the sums, once. @throws Error when a layer had no features */
  end(): void
  /** Gives the minibatch's memory back, ended or not. */
  release(): void
}

/** The unbiased estimator divides by n - 3. */
export const FEWEST_EXAMPLES = 4

/** Bits of the binary counter of minibatches, see shaders/analysis/hsic_accumulate.wesl. */
const LEVELS = 24

/** vec4s that a lane adds in one f32 chain of a product of Gram matrices, at most and at least. */
const LONGEST_CHAIN = 1024
const SHORTEST_CHAIN = 16

/**
 * Linear CKA between all layers of two networks, or within one, from minibatches:
 *
 *   CKA = mean_i HSIC(K_i, L_i) / sqrt(mean_i HSIC(K_i, K_i) * mean_i HSIC(L_i, L_i))
 *
 * over minibatches i (Kornblith et al. 2021, eq. 10; Nguyen, Raghu and Kornblith 2021). HSIC is by
 * default the unbiased HSIC_1 of Song et al. 2012, in its U-centred form (Szekely and Rizzo 2014)
 * over n (n - 3), so a minibatch of another size estimates the same quantity. All minibatches weigh
 * alike, as in the paper's mean, whatever their size: HSIC_1 is unbiased at any. (Left undivided, a
 * remainder of 500 would weigh a ninth of a minibatch of 1,500.)
 *
 * `add` only records device work, on scratch of its own, so a batch may be recorded into a program
 * and replayed; make the object itself outside of it. `result` may be asked for at any time.
 */
export class MinibatchCka {
  readonly #layersB: readonly string[] | undefined
  readonly #estimator: Estimator
  readonly #variant: AnalysisVariant
  readonly #block: number
  readonly #pairs: LayerPairs
  readonly #tiles: GpuArray<'u32'>
  readonly #levels: GpuArray<'f32'>
  readonly #counts: GpuArray<'u32'>
  readonly #scales: GpuArray<'f32'>

  /**
   * @param layersB names of the second network's layers; without them all pairs within the first
   * @throws Error when a list is empty
   */
  constructor(
    private readonly gpu: Gpu,
    private readonly layersA: readonly string[],
    layersB?: readonly string[],
    options: CkaOptions = {},
  ) {
    if (layersA.length === 0 || layersB?.length === 0)
      throw new Error('CKA: a network has no layers, expected at least one of each')
    this.#layersB = layersB
    this.#estimator = options.estimator ?? 'unbiased'
    this.#variant = options.variant ?? {}
    this.#block = options.block ?? LARGEST_BLOCK
    this.#pairs = new LayerPairs(layersA.length, layersB?.length)
    const { tiles, products, layers } = this.#pairs
    const entries = products + layers
    this.#tiles = gpu.upload('u32', [tiles.length, 2], new Uint32Array(tiles.flat()), 'CKA tiles')
    this.#levels = gpu.zeros('f32', [LEVELS, entries], 'HSIC sums')
    this.#counts = gpu.zeros('u32', [entries + 1], 'HSIC counts')
    this.#scales = gpu.zeros('f32', [layers], 'HSIC scales')
  }

  /**
   * Adds a minibatch, or some rows of larger arrays as one.
   *
   * @param featuresA of each layer [n, ...], in the order of the names
   * @param featuresB likewise of the second network, on the same n examples
   * @throws Error on a layer too few, examples that differ in number, or fewer than 4 examples
   */
  add(
    featuresA: readonly GpuArray<'f32'>[],
    featuresB?: readonly GpuArray<'f32'>[],
    rows?: RowRange,
  ): void {
    const range = rows ?? { first: 0, count: featuresA[0]?.shape[0] ?? 0 }
    const widths = this.#check(featuresA, featuresB, range)
    const stack = this.#stack(range.count)
    for (const [layer, x] of [...featuresA, ...(featuresB ?? [])].entries())
      stack.add(layer, x, widths[layer]!, range.first)
    this.#accumulate(stack, range.count)
    stack.release()
  }

  /**
   * Opens a minibatch whose features come in pieces, for layers too wide to hold: of 1,500 images, a
   * first block's 802,816 features each take 4.8 GB. Only the Gram matrices stay on the device.
   *
   * @param n examples, at least 4
   */
  minibatch(n: number): StreamedMinibatch {
    const { layersA } = this
    const layersB = this.#layersB ?? []
    if (!Number.isInteger(n) || n < FEWEST_EXAMPLES) throw new Error(tooFew(n))
    const stack = this.#stack(n)
    let isOpen = true
    const steps = (network: 'a' | 'b', layer: number, x: GpuArray<'f32'>) => {
      const name = (network === 'a' ? layersA : layersB)[layer]
      if (name === undefined) throw new Error(`CKA: network ${network} has no layer ${layer}`)
      const { n: rows, p } = featureShape(name, x)
      if (rows !== n) throw new Error(`CKA: ${name} has ${rows} examples, the minibatch ${n}`)
      return stack.steps(network === 'a' ? layer : layersA.length + layer, x, p, 0)
    }
    return {
      add: (network, layer, x) => {
        for (const _ of steps(network, layer, x));
      },
      steps,
      endLayer: () => stack.finish(),
      end: () => {
        if (!isOpen) throw new Error('CKA: a minibatch ended twice')
        this.#accumulate(stack, n)
        stack.release()
        isOpen = false
      },
      release: () => {
        if (isOpen) stack.release()
        isOpen = false
      },
    }
  }

  /**
   * CKA of all minibatches so far; a pair with a layer whose HSIC with itself is not above 0 (and
   * above rounding) or not finite is null, with the reason.
   *
   * @throws Error when no minibatch was added
   */
  async result(): Promise<CkaResult> {
    const { layersA } = this
    const layersB = this.#layersB ?? layersA
    const offset = this.#layersB ? layersA.length : 0
    const { mean, scales, n, batches } = await this.#means()
    const { products } = this.#pairs
    const product = (i: number, j: number) =>
      mean(this.#pairs.entry(Math.min(i, j), Math.max(i, j)))
    const hsic = (i: number, j: number) => product(i, j) / scales[i]! / scales[j]!
    const reasons: Record<string, string> = {}
    const matrix = layersA.map((a, i) =>
      layersB.map((b, column) => {
        const j = offset + column
        const selfA = product(i, i)
        const selfB = product(j, j)
        const why =
          whyUndefined(`${a} of A`, selfA, mean(products + i)) ??
          whyUndefined(`${b} of B`, selfB, mean(products + j))
        if (why === undefined) return product(i, j) / Math.sqrt(selfA * selfB)
        reasons[`${a}/${b}`] = why
        return null
      }),
    )
    return {
      layersA,
      layersB,
      matrix,
      undefined: reasons,
      hsicXY: layersA.map((_, i) => layersB.map((__, j) => hsic(i, offset + j))),
      hsicXX: layersA.map((_, i) => hsic(i, i)),
      hsicYY: layersB.map((_, j) => hsic(offset + j, offset + j)),
      estimator: this.#estimator,
      n,
      batches,
    }
  }

  /** Forgets all minibatches. */
  reset(): void {
    this.gpu.clear(this.#counts)
  }

  release(): void {
    for (const array of [this.#tiles, this.#levels, this.#counts, this.#scales]) array.release()
  }

  /** Checks a batch and returns each layer's number of features. */
  #check(
    a: readonly GpuArray<'f32'>[],
    b: readonly GpuArray<'f32'>[] | undefined,
    { first, count }: RowRange,
  ): number[] {
    const names = [...this.layersA, ...(this.#layersB ?? [])]
    if (a.length !== this.layersA.length || b?.length !== this.#layersB?.length)
      throw new Error(
        `CKA: features of ${a.length} and ${b?.length ?? 0} layers came, expected ${this.layersA.length} and ${this.#layersB?.length ?? 0}`,
      )
    const shapes = [...a, ...(b ?? [])].map((x, i) => featureShape(names[i]!, x))
    const rows = shapes[0]!.n
    for (const [i, { n }] of shapes.entries())
      if (n !== rows) throw new Error(`CKA: ${names[i]} has ${n} examples, ${names[0]} has ${rows}`)
    if (count < FEWEST_EXAMPLES) throw new Error(tooFew(count))
    if (first < 0 || first + count > rows)
      throw new Error(`CKA: rows ${first} to ${first + count} of ${rows} were asked for`)
    return shapes.map(({ p }) => p)
  }

  #stack(n: number): GramStack {
    const { layers } = this.#pairs
    return new GramStack(this.gpu, layers, n, this.#estimator, this.#variant, this.#block)
  }

  /** Adds the HSIC of all pairs to the running sums. */
  #accumulate(stack: GramStack, n: number): void {
    const { gpu } = this
    stack.centre(this.#counts, this.#scales)
    const { lanes, targetWorkgroups } = gpu.profile
    const { tiles, products, layers } = this.#pairs
    const plans = stack.bands.map(({ rows, grams }) => {
      const items = (rows * stack.stride) / 4
      const chain = Math.ceil((items * tiles.length) / lanes / targetWorkgroups)
      const itemsPerSlice = lanes * Math.min(LONGEST_CHAIN, Math.max(SHORTEST_CHAIN, chain))
      return { grams, items, itemsPerSlice, slices: Math.ceil(items / itemsPerSlice) }
    })
    const count = plans.reduce((sum, { slices }) => sum + slices * lanes, 0)
    const parts = gpu.empty('f32', [count, products], 'HSIC parts')
    let firstPart = 0
    for (const { grams, items, itemsPerSlice, slices } of plans) {
      gpu.dispatch(kernels.analysis_hsic, {
        constants: { LANES: lanes },
        buffers: { grams, tiles: this.#tiles, parts },
        params: { layers, items, itemsPerSlice, firstPart },
        workgroups: [tiles.length, slices, 1],
      })
      firstPart += slices * lanes
    }
    const weight = this.#estimator === 'biased' ? 1 / (n - 1) ** 2 : 1 / (n * (n - 3))
    gpu.dispatch(kernels.analysis_hsic_accumulate, {
      constants: { LANES: lanes, LEVELS },
      buffers: {
        parts,
        totals: stack.totals,
        scales: this.#scales,
        levels: this.#levels,
        counts: this.#counts,
      },
      params: { products, layers, parts: count, rows: n, weight },
      workgroups: [Math.ceil((products + layers) / lanes), 1, 1],
    })
    parts.release()
  }

  /** Reads the running sums: the mean of an entry over the minibatches, in the layers' scales. */
  async #means() {
    const { gpu } = this
    const counts = await gpu.read(this.#counts)
    const levels = await gpu.read(this.#levels)
    const scales = await gpu.read(this.#scales)
    const entries = counts.length - 1
    const batches = counts[0]!
    if (batches === 0) throw new Error('CKA: no minibatch was added')
    const mean = (entry: number) => {
      let sum = 0
      for (let level = 0; level < LEVELS; level++)
        if ((batches >>> level) & 1) sum += levels[level * entries + entry]!
      return sum / batches
    }
    return { mean, scales, n: counts[entries]!, batches }
  }
}

function tooFew(n: number): string {
  return `CKA: a minibatch has ${n} examples, expected at least ${FEWEST_EXAMPLES}: the estimator divides by n - 3`
}
