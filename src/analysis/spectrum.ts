import { convolveBackwardWeights } from '../autograd/convolution.ts'
import { productShape } from '../autograd/convolutionShape.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'
import { meanOffsets, subtractMean } from './classMeans.ts'
import { ClassSeparation } from './classSeparation.ts'
import type { FeatureSource } from './featureNetwork.ts'
import { bindingLimit, featureShape } from './features.ts'
import { eigenvalueNoise, symmetricEigen, symmetricMatrix } from './symmetricEigen.ts'
import { gramStride, LARGEST_BLOCK, UpperGram } from './upperGram.ts'

/** Singular values of a matrix [n, p]. */
export interface SpectrumResult {
  /** Largest first, min(n, p) of them. */
  readonly singularValues: readonly number[]
  /** Values below this are float32's rounding of the products that they come from. */
  readonly resolution: number
  readonly n: number
  readonly p: number
  /** Whether the mean row was taken off. */
  readonly centred: boolean
}

export interface SpectrumOptions {
  /** Whether the mean row is taken off first; the paper does not say (default: it is not). */
  readonly centre?: boolean
  /** Told of the values read and of those in all, passes counted. */
  readonly onProgress?: (done: number, total: number) => void
}

/** A matrix that is taken to the device in pieces, or is there. */
interface Pieces {
  readonly name: string
  readonly title: string
  readonly n: number
  readonly p: number
  /** Values of a piece, at most. */
  readonly most: number
  take(firstRow: number, rows: number, first: number, columns: number): GpuArray<'f32'>
}

function piecesOf(gpu: Gpu, source: FeatureSource | GpuArray<'f32'>): Pieces {
  if (source instanceof GpuArray) {
    const { n, p } = featureShape('matrix', source)
    const name = 'matrix'
    return { name, title: name, n, p, most: Number.POSITIVE_INFINITY, take: () => source.retain() }
  }
  const { name, n, p, title = name } = source
  const take = (firstRow: number, rows: number, first: number, columns: number) => {
    const order = Uint32Array.from({ length: rows }, (_, i) => firstRow + i)
    return gpu.upload('f32', [rows, columns], source.read(order, first, columns), name)
  }
  return { name, title, n, p, most: LARGEST_BLOCK, take }
}

/**
 * Singular values of features [n, p] (Kornblith et al. 2021, Figure E.2) that are read piece by piece, or of an array:
 * the products X X^T or X^T X, whichever is smaller, on the device, their eigenvalues in float64 on
 * the host.
 *
 * @throws Error when the features hold what is not finite, or the smaller side is too large
 */
export async function spectrum(
  gpu: Gpu,
  source: FeatureSource | GpuArray<'f32'>,
  options: SpectrumOptions = {},
): Promise<SpectrumResult> {
  const pieces = piecesOf(gpu, source)
  const { n, p, title } = pieces
  const centred = options.centre ?? false
  const size = Math.min(n, p)
  if (gramStride(size) ** 2 > bindingLimit(gpu))
    throw new Error(
      `${title}: [${n}, ${p}] has ${size} singular values, expected at most ${Math.floor(Math.sqrt(bindingLimit(gpu))) - 15}`,
    )
  const progress = options.onProgress ?? (() => {})
  const { products, stride } =
    p <= n
      ? await productsOfColumns(gpu, pieces, centred, progress)
      : await productsOfRows(gpu, pieces, centred, progress)
  const matrix = symmetricMatrix(await gpu.read(products), stride, size)
  products.release()
  if (!matrix.to1DArray().every(Number.isFinite))
    throw new Error(`${title} holds numbers too large to square, or not finite`)
  const { values } = symmetricEigen(matrix)
  return {
    singularValues: values.map((value) => Math.sqrt(Math.max(0, value))),
    resolution: Math.sqrt(eigenvalueNoise(matrix)),
    n,
    p,
    centred,
  }
}

type OnProgress = (done: number, total: number) => void

/** X X^T [stride, stride], of features that come in pieces of columns. */
async function productsOfRows(gpu: Gpu, pieces: Pieces, centre: boolean, on: OnProgress) {
  const { n, p } = pieces
  const gram = new UpperGram(gpu, n, { centre })
  const columns = Math.min(p, Math.max(4, 4 * Math.floor(pieces.most / 4 / gram.stride)))
  for (let first = 0; first < p; first += columns) {
    const count = Math.min(columns, p - first)
    const x = pieces.take(0, n, first, count)
    gram.add(x, count)
    x.release()
    await gpu.idle()
    on(n * (first + count), n * p)
  }
  const products = gram.take()
  gram.release()
  return { products, stride: gram.stride }
}

/** X^T X [p, p], of features that come in pieces of rows; in two passes where they are centred. */
async function productsOfColumns(gpu: Gpu, pieces: Pieces, centre: boolean, on: OnProgress) {
  const { n, p, name } = pieces
  const products = gpu.zeros('f32', [p, p], 'products of features')
  const part = gpu.empty('f32', [p, p], 'products of a batch')
  const layer = { layer: name, features: p }
  const moments = new ClassSeparation(gpu, [layer], 1, {}, 'euclidean')
  const sums = { features: p, chunks: moments.chunks(0), counts: moments.counts, variant: {} }
  let offsets: GpuArray<'f32'>[] | undefined
  const batch = Math.min(n, Math.max(1, Math.floor(pieces.most / p)))
  const passes = centre ? (['mean', 'products'] as const) : (['products'] as const)
  for (const [index, pass] of passes.entries()) {
    for (let first = 0; first < n; first += batch) {
      const count = Math.min(batch, n - first)
      const x = pieces.take(first, count, 0, p)
      if (pass === 'mean') moments.add([x], new Uint32Array(count))
      else {
        const y = offsets ? subtractMean(gpu, sums, x, offsets) : x.retain()
        convolveBackwardWeights(gpu, productShape(count, p, p), { x: y, dy: y, dw: part })
        gpu.dispatch(kernels.elementwise_accumulate, {
          ...elementwiseCall(gpu, products, {}),
          buffers: { x: part, y: products },
        })
        y.release()
      }
      x.release()
      await gpu.idle()
      on((index * n + first + count) * p, passes.length * n * p)
    }
    if (centre && !offsets) offsets = meanOffsets(gpu, sums, 'example')
  }
  for (const array of [part, moments, ...(offsets ?? [])]) array.release()
  return { products, stride: p }
}
