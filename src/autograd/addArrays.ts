import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { pieces } from '../gpu/pieces.ts'

/** y = a + b, of one length. */
export function addArrays(
  gpu: Gpu,
  arrays: { readonly a: GpuArray<'f32'>; readonly b: GpuArray<'f32'>; readonly y: GpuArray<'f32'> },
): void {
  for (const { views } of pieces(gpu, arrays.y.length, arrays))
    gpu.dispatch(kernels.add_forward, { ...elementwiseCall(gpu, views.y, {}), buffers: views })
}
