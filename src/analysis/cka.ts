import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { featureShape } from './features.ts'
import type { Estimator } from './gramStack.ts'
import { type CkaOptions, FEWEST_EXAMPLES, MinibatchCka } from './minibatchCka.ts'

/** CKA of two arrays of features. */
export interface Cka {
  /** Null where it is undefined. */
  readonly cka: number | null
  /** Why `cka` is null. */
  readonly undefined?: string
  /** Mean HSIC over the minibatches. */
  readonly hsicXY: number
  readonly hsicXX: number
  readonly hsicYY: number
  readonly estimator: Estimator
  readonly n: number
  readonly batches: number
}

/**
 * Linear CKA of two representations of the same n examples, x [n, ...] and y [n, ...], see
 * `MinibatchCka`.
 *
 * @param options.batch rows of a minibatch, taken in order; all rows at once when left out. A last
 * minibatch of fewer than 4 rows joins the one before it.
 * @throws Error when n differs or is below 4, or the batch is
 */
export async function cka(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  y: GpuArray<'f32'>,
  options: CkaOptions & { readonly batch?: number } = {},
): Promise<Cka> {
  const { n } = featureShape('x', x)
  const batch = options.batch ?? n
  if (!Number.isInteger(batch) || (n >= FEWEST_EXAMPLES && batch < FEWEST_EXAMPLES))
    throw new Error(`CKA: batch is ${batch}, expected an integer of at least ${FEWEST_EXAMPLES}`)
  const minibatches = new MinibatchCka(gpu, ['x'], ['y'], options)
  try {
    let first = 0
    do {
      const left = n - first
      const count = left - batch < FEWEST_EXAMPLES ? left : batch
      minibatches.add([x], [y], { first, count })
      first += count
    } while (first < n)
    const result = await minibatches.result()
    const why = result.undefined['x/y']
    return {
      cka: result.matrix[0]![0]!,
      ...(why === undefined ? {} : { undefined: why }),
      hsicXY: result.hsicXY[0]![0]!,
      hsicXX: result.hsicXX[0]!,
      hsicYY: result.hsicYY[0]!,
      estimator: result.estimator,
      n: result.n,
      batches: result.batches,
    }
  } finally {
    minibatches.release()
  }
}
