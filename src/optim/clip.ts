import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'

/**
 * Scales gradients in place so that the norm over all of them is at most `most`, as PyTorch's
 * `clip_grad_norm_`: by most / (norm + 1e-6) where that is below 1.
 */
export function clipGradients(gpu: Gpu, gradients: readonly GpuArray<'f32'>[], most: number): void {
  const calls = gradients.map((g) => elementwiseCall(gpu, g, { length: g.length }))
  const counts = calls.map(({ workgroups: [x, y] }) => x * y)
  // A binding must start at a multiple of 256 bytes.
  const starts = counts.map((_, i) =>
    counts.slice(0, i).reduce((sum, count) => sum + Math.ceil(count / 64) * 64, 0),
  )
  const length = starts.at(-1)! + counts.at(-1)!
  const sums = gpu.zeros('f32', [length], 'squared norms')
  for (const [i, call] of calls.entries()) {
    const part = new GpuArray('f32', [counts[i]!], sums.storage, 4 * starts[i]!)
    gpu.dispatch(kernels.loss_squared_norm, { ...call, buffers: { x: gradients[i]!, sums: part } })
  }
  const factor = gpu.empty('f32', [1], 'clip factor')
  gpu.dispatch(kernels.optim_clip_factor, {
    constants: { LANES: gpu.profile.lanes },
    buffers: { sums, factor },
    params: { length, most },
    workgroups: [1, 1, 1],
  })
  for (const g of gradients)
    gpu.dispatch(kernels.loss_scale_in_place, {
      ...elementwiseCall(gpu, g, {}),
      buffers: { dloss: factor, g },
    })
  sums.release()
  factor.release()
}
