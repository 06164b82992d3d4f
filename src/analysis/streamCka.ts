import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import { type Estimator, gramStackBytes } from './gramStack.ts'
import { type CkaResult, FEWEST_EXAMPLES, MinibatchCka } from './minibatchCka.ts'
import { gramStride, LARGEST_BLOCK } from './upperGram.ts'

/** A layer's features of n examples, read in pieces. */
export interface FeatureSource {
  readonly name: string
  /** What errors call it, where that is more than the name. */
  readonly title?: string
  readonly n: number
  /** Features of an example. */
  readonly p: number
  /** Features first .. first + count of some examples, [rows.length, count] row by row. */
  read(rows: Uint32Array, first: number, count: number): Float32Array
}

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
  /** Operations of the Gram products: n (n + 1) p a layer, as the matrix is symmetric. */
  readonly gramOperations: number
  /** Bytes of the device's arrays at their most. */
  readonly peakBytes: number
}

/** The paper's minibatch. */
const PAPER_BATCH = 1500
/** Copies of a piece of features at once: on the host, on its way, on the device, transposed. */
const COPIES = 4
const DEFAULT_MEMORY = 2 ** 30

/**
 * CKA of all pairs of layers of two networks from features that are read piece by piece, see
 * `MinibatchCka`: wide layers and many examples take no more memory than is given.
 *
 * A last minibatch of fewer than 4 examples joins the one before it.
 *
 * @param b layers of the second network; without them all pairs within the first
 * @throws Error when layers differ in their examples, there are fewer than 4, batch or epochs are out
 * of range, or the Gram matrices alone exceed the memory
 */
export async function streamCka(
  gpu: Gpu,
  a: readonly FeatureSource[],
  b: readonly FeatureSource[] | undefined,
  options: StreamCkaOptions = {},
): Promise<CkaResult & { timing: CkaTiming }> {
  const start = performance.now()
  const n = commonExamples(a, b)
  const sizes = batchSizes(n, options.batch ?? Math.min(n, PAPER_BATCH))
  const epochs = options.epochs ?? 1
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new Error(`CKA: epochs is ${epochs}, expected an integer of at least 1`)
  const layers = a.length + (b?.length ?? 0)
  const block = blockSize(layers, sizes, options.memory ?? DEFAULT_MEMORY)
  const shuffle = options.shuffle ?? (sizes.length > 1 || epochs > 1)
  const names = (sources: readonly FeatureSource[]) => sources.map(({ name }) => name)
  const cka = new MinibatchCka(gpu, names(a), b && names(b), {
    ...(options.estimator ? { estimator: options.estimator } : {}),
    block,
  })
  const networks = [['a', a] as const, ...(b ? [['b', b] as const] : [])]
  const widest = Math.max(...networks.flatMap(([, sources]) => sources.map(({ p }) => p)))
  const room = gpu.empty('f32', [Math.min(block, widest * Math.max(...sizes))], 'features')
  const width = networks.flatMap(([, sources]) => sources).reduce((sum, { p }) => sum + p, 0)
  const total = epochs * width * sizes.reduce((sum, size) => sum + size * (size + 1), 0)
  let gramSeconds = 0
  let gramOperations = 0
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
          for (const [network, sources] of networks)
            for (const [layer, source] of sources.entries()) {
              const columns = 4 * Math.floor(block / gramStride(size) / 4)
              for (let first = 0; first < source.p; first += columns) {
                const count = Math.min(columns, source.p - first)
                const values = source.read(rows, first, count)
                const x = new GpuArray('f32', [size, count], room.storage, room.offset)
                await gpu.flush()
                gpu.write(x, values)
                let before = 0
                for (const step of minibatch.steps(network, layer, x)) {
                  await gpu.idle()
                  const now = performance.now()
                  if (step === 'multiplied') gramSeconds += (now - before) / 1000
                  before = now
                }
                gramOperations += size * (size + 1) * count
                options.onProgress?.(gramOperations, total)
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
    return { ...result, timing: { seconds, gramSeconds, gramOperations, peakBytes } }
  } finally {
    room.release()
    cka.release()
  }
}

function commonExamples(a: readonly FeatureSource[], b: readonly FeatureSource[] = []): number {
  const [first, ...rest] = [...a, ...b]
  if (!first) throw new Error('CKA: a network has no layers, expected at least one of each')
  const titleOf = ({ title, name }: FeatureSource) => title ?? name
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

/** Values of a piece of features that fit beside the Gram matrices. */
function blockSize(layers: number, sizes: readonly number[], memory: number): number {
  // Pools keep the buffers of every size of minibatch.
  const grams = [...new Set(sizes)].reduce((sum, size) => sum + gramStackBytes(layers, size), 0)
  const largest = Math.max(...sizes)
  const smallest = 64 * gramStride(largest)
  const fits = Math.floor((memory - grams) / 4 / COPIES)
  if (fits < smallest)
    throw new Error(
      `CKA: Gram matrices of ${layers} layers and ${largest} examples need ${mebibytes(grams + 4 * COPIES * smallest)} MiB, but ${mebibytes(memory)} MiB of memory are given: give more, or take smaller minibatches or fewer layers`,
    )
  return Math.min(fits, LARGEST_BLOCK)
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}
