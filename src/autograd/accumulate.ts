import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { pieces } from '../gpu/pieces.ts'

/** y += x, of one length. */
export function accumulate(gpu: Gpu, x: GpuArray<'f32'>, y: GpuArray<'f32'>): void {
  for (const { views } of pieces(gpu, y.length, { x, y }))
    gpu.dispatch(kernels.elementwise_accumulate, {
      ...elementwiseCall(gpu, views.y, {}),
      buffers: views,
    })
}
