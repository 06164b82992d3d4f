import { philoxKey } from '../random/philox.ts'
import { elementwiseCall } from './elementwise.ts'
import { kernels } from './generated/kernels.ts'
import type { Gpu } from './gpu.ts'
import type { GpuArray } from './gpuArray.ts'
import { pieces } from './pieces.ts'

/** Which draws fill an array; `src/random/randomStream.ts` says what each means. */
interface UniformDraws {
  /** An integer in [0, 2^53 - 1]. */
  readonly seed: number
  /** A constant of `streams`. */
  readonly stream: number
  /** u32. Default 0. */
  readonly step?: number
}

/**
 * Fills an array with uniform numbers in [0, 1): element i is `uniform(i)` of the `RandomStream` of
 * the same seed, stream and step, bit for bit.
 *
 * @throws RangeError when the seed is out of range
 * @throws GpuValidationError when stream or step is no u32
 */
export function fillUniform(
  gpu: Gpu,
  array: GpuArray<'f32'>,
  { seed, stream, step = 0 }: UniformDraws,
): void {
  const [seedLow, seedHigh] = philoxKey(seed)
  for (const { first, views } of pieces(gpu, array.length, { y: array }))
    gpu.dispatch(kernels.random_philox_uniform, {
      ...elementwiseCall(gpu, views.y, { seedLow, seedHigh, stream, step, first: first / 4 }),
      buffers: views,
    })
}
