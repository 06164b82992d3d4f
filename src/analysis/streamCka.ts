import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'
import { HostWindow } from '../gpu/hostWindow.ts'
import { SleepyWait } from '../gpu/sleepyWait.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import type { CkaResult } from './ckaResult.ts'
import {
  type FeatureNetwork,
  type FeatureSource,
  type LayerFeatures,
  storedNetwork,
} from './featureNetwork.ts'
import { type Estimator, gramStackBytes } from './gramStack.ts'
import { FEWEST_EXAMPLES, MinibatchCka, type StreamedMinibatch } from './minibatchCka.ts'
import { type GramStep, gramStride, LARGEST_BLOCK, tileFeatures } from './upperGram.ts'

export interface StreamCkaOptions {
  readonly estimator?: Estimator
  /** Examples of a minibatch, at least 4; all of up to 1,500, else 1,500 as in the paper. */
  readonly batch?: number
  /** Passes over the examples, each in another order. */
  readonly epochs?: number
  /** Whether minibatches are drawn at random; by default where there are several. */
  readonly shuffle?: boolean
  readonly seed?: number
  /** Bytes that the device's arrays and the features on their way there may take. */
  readonly memory?: number
  /** Told of the multiply-adds done and of those in all, as floating-point operations. */
  readonly onProgress?: (done: number, total: number) => void
}

/** Where the time of `streamCka` went. */
export interface CkaTiming {
  readonly seconds: number
  /** Of them in Gram products. */
  readonly gramSeconds: number
  /** Of them until features were there: for networks, their forward passes. */
  readonly featureSeconds: number
  /** Operations of the Gram products: n (n + 1) p a layer, as the matrix is symmetric. */
  readonly gramOperations: number
  /** Bytes of the device's arrays at their most. */
  readonly peakBytes: number
}

/** The paper's minibatch. */
const PAPER_BATCH = 1500
/** Copies of a piece of features at once: on the host, on its way, on the device, transposed, as an image. */
const COPIES = 5
const DEFAULT_MEMORY = 2 ** 30

/** Part of the memory beside Gram matrices that networks may hold features in. */
const SHARE_OF_NETWORKS = 1 / 4

/**
 * CKA of all pairs of layers of two networks from features that come piece by piece, see
 * `MinibatchCka`: wide layers and many examples take no more memory than is given.
 *
 * A last minibatch of fewer than 4 examples joins the one before it.
 *
 * @param a layers that can be read, or a network that computes them
 * @param b those of the second network; without them all pairs within the first
 * @throws Error when layers differ in their examples, there are fewer than 4, batch or epochs are out
 * of range, or the Gram matrices alone exceed the memory
 */
export async function streamCka(
  gpu: Gpu,
  a: FeatureNetwork | readonly FeatureSource[],
  b: FeatureNetwork | readonly FeatureSource[] | undefined,
  options: StreamCkaOptions = {},
): Promise<CkaResult & { timing: CkaTiming }> {
  const start = performance.now()
  const networks = [
    { network: 'a' as const, source: networkOf(a) },
    ...(b ? [{ network: 'b' as const, source: networkOf(b) }] : []),
  ]
  const all = networks.flatMap(({ source }) => source.layers)
  const n = commonExamples(all)
  const sizes = batchSizes(n, options.batch ?? Math.min(n, PAPER_BATCH))
  const epochs = options.epochs ?? 1
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new Error(`CKA: epochs is ${epochs}, expected an integer of at least 1`)
  const held = networks.reduce((sum, { source }) => sum + source.bytes, 0)
  const room = memoryFor(all.length, sizes, options.memory ?? DEFAULT_MEMORY, held)
  const shuffle = options.shuffle ?? (sizes.length > 1 || epochs > 1)
  const [namesA, namesB] = networks.map(({ source }) => source.layers.map(({ name }) => name))
  const cka = new MinibatchCka(gpu, namesA!, namesB, {
    ...(options.estimator ? { estimator: options.estimator } : {}),
    block: room.block,
  })
  const operations = sizes.reduce((sum, size) => sum + size * (size + 1), 0)
  const total = epochs * operations * all.reduce((sum, { p }) => sum + p, 0)
  const products = new GramProducts(gpu, room.block, (done) => options.onProgress?.(done, total))
  let featureSeconds = 0
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = shuffle
        ? new RandomStream(options.seed ?? 0, streams.analysis, epoch).permutation(n)
        : Uint32Array.from({ length: n }, (_, i) => i)
      let firstRow = 0
      for (const size of sizes) {
        const rows = order.subarray(firstRow, firstRow + size)
        const minibatch = cka.minibatch(size)
        try {
          for (const { network, source } of networks) {
            let before = performance.now()
            for await (const { layer, features } of source.minibatch(rows, room.features)) {
              featureSeconds += (performance.now() - before) / 1000
              const { p } = source.layers[layer]!
              await products.add(minibatch, { network, layer, size, p }, features)
              before = performance.now()
            }
          }
          minibatch.end()
        } finally {
          minibatch.release()
        }
        firstRow += size
      }
    }
    const result = await cka.result()
    const seconds = (performance.now() - start) / 1000
    const { peak: peakBytes } = gpu.memory()
    const { seconds: gramSeconds, operations: gramOperations } = products
    return {
      ...result,
      timing: { seconds, gramSeconds, featureSeconds, gramOperations, peakBytes },
    }
  } finally {
    cka.release()
  }
}

/** Brings layers' features to their Gram matrices, and measures the products. */
class GramProducts {
  seconds = 0
  operations = 0
  readonly #waits: Readonly<Record<GramStep, SleepyWait>>

  constructor(
    private readonly gpu: Gpu,
    private readonly block: number,
    private readonly onOperations: (done: number) => void,
  ) {
    this.#waits = { transposed: new SleepyWait(gpu), multiplied: new SleepyWait(gpu) }
  }

  /** Adds all features of a layer. */
  async add(
    minibatch: StreamedMinibatch,
    { network, layer, size, p }: { network: 'a' | 'b'; layer: number; size: number; p: number },
    features: LayerFeatures['features'],
  ): Promise<void> {
    const { gpu, block } = this
    const before = this.operations
    const multiply = async (x: GpuArray<'f32'>) => {
      const columns = x.length / size
      const tile = tileFeatures(gpu, size, block)
      let left = columns
      for (const step of minibatch.steps(network, layer, x)) {
        const ms = await this.#waits[step].idle(size ** 2 * Math.min(tile, left))
        if (step === 'transposed') continue
        this.seconds += ms / 1000
        left -= tile
      }
      this.operations += size * (size + 1) * columns
      this.onOperations(this.operations)
    }
    if (typeof features !== 'function') await multiply(features)
    else {
      const columns = Math.min(p, tileFeatures(gpu, size, block))
      const room = gpu.empty('f32', [size, columns], 'features')
      const window = new HostWindow(gpu)
      try {
        for (let first = 0; first < p; first += columns) {
          const count = Math.min(columns, p - first)
          const x = new GpuArray('f32', [size, count], room.storage, room.offset)
          await window.write(x, (values) => features(first, count, values))
          await multiply(x)
        }
      } finally {
        window.release()
        room.release()
      }
    }
    if (this.operations - before !== size * (size + 1) * p)
      throw new Error(`CKA: features of layer ${layer} are not the ${p} that were promised`)
    minibatch.endLayer()
    await gpu.idle()
  }
}

function networkOf(layers: FeatureNetwork | readonly FeatureSource[]): FeatureNetwork {
  return 'minibatch' in layers ? layers : storedNetwork(layers)
}

function commonExamples(layers: FeatureNetwork['layers']): number {
  const [first, ...rest] = layers
  if (!first) throw new Error('CKA: a network has no layers, expected at least one of each')
  const titleOf = ({ title, name }: (typeof layers)[number]) => title ?? name
  for (const source of rest)
    if (source.n !== first.n)
      throw new Error(
        `CKA: ${titleOf(source)} has ${source.n} examples, but ${titleOf(first)} has ${first.n}`,
      )
  if (first.n < FEWEST_EXAMPLES)
    throw new Error(
      `CKA: ${titleOf(first)} has ${first.n} examples, expected at least ${FEWEST_EXAMPLES}`,
    )
  return first.n
}

/** Minibatches of `batch` examples, in order; a rest of fewer than 4 joins the last. */
function batchSizes(n: number, batch: number): number[] {
  if (!Number.isInteger(batch) || batch < FEWEST_EXAMPLES)
    throw new Error(`CKA: batch is ${batch}, expected an integer of at least ${FEWEST_EXAMPLES}`)
  const sizes: number[] = []
  for (let left = n; left > 0; ) {
    const size = left - batch < FEWEST_EXAMPLES ? left : batch
    sizes.push(size)
    left -= size
  }
  return sizes
}

/** Values of a piece of features, and bytes for networks' features, that fit beside what is held. */
function memoryFor(layers: number, sizes: readonly number[], memory: number, held: number) {
  // Pools keep the buffers of every size of minibatch.
  const grams = [...new Set(sizes)].reduce((sum, size) => sum + gramStackBytes(layers, size), 0)
  const largest = Math.max(...sizes)
  const left = (memory - grams - held) * (held > 0 ? 1 - SHARE_OF_NETWORKS : 1)
  const smallest = 64 * gramStride(largest)
  const fits = Math.floor(left / 4 / COPIES)
  if (fits < smallest) {
    const networks = held > 0 ? `, the networks ${mebibytes(held)} MiB` : ''
    throw new Error(
      `CKA: Gram matrices of ${layers} layers and ${largest} examples need ${mebibytes(grams + 4 * COPIES * smallest)} MiB${networks}, but ${mebibytes(memory)} MiB of memory are given: give more, or take smaller minibatches or fewer layers`,
    )
  }
  return { block: Math.min(fits, LARGEST_BLOCK), features: memory - grams - held }
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}
