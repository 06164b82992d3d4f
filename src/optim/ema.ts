import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

export interface EmaOptions {
  /** Decay, in (0.5, 1): the paper's is 0.9999. */
  readonly ema: number
  /** Starts with the smaller decay (1 + n) / (10 + n) after n updates, as TensorFlow's num_updates. */
  readonly emaWarmup: boolean
}

/** @throws Error when the decay is not in (0.5, 1), with a hint where 1 - decay was given */
export function checkEmaDecay(decay: number): void {
  if (decay > 0.5 && decay < 1) return
  const hint =
    decay > 0 && decay <= 0.5
      ? `: that is the weight of the new value, so give the decay ${Number((1 - decay).toPrecision(12))}`
      : ''
  throw new Error(`ema is ${decay}, expected a decay in (0.5, 1), or 0 for no average${hint}`)
}

/** Weight of the new value in the average at the update that follows `updates` others. */
export function emaWeight(updates: number, { ema, emaWarmup }: EmaOptions): number {
  return 1 - (emaWarmup ? Math.min(ema, (1 + updates) / (10 + updates)) : ema)
}

/**
 * average += weight (x - average), in place, for arrays of equal shapes.
 *
 * @param weight [1], as `emaWeight` gives it
 */
export function updateAverages(
  gpu: Gpu,
  pairs: readonly { readonly average: GpuArray<'f32'>; readonly x: GpuArray<'f32'> }[],
  weight: GpuArray<'f32'>,
): void {
  for (const { average, x } of pairs)
    gpu.dispatch(kernels.ema_update, {
      ...elementwiseCall(gpu, average, {}),
      buffers: { weight, x, average },
    })
}
