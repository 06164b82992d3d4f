import { elementwiseCall } from '../../src/gpu/elementwise.ts'
import { kernels } from '../../src/gpu/generated/kernels.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { GpuArray } from '../../src/gpu/gpuArray.ts'

/** y += x */
export function accumulate(gpu: Gpu, x: GpuArray<'f32'>, y: GpuArray<'f32'>): void {
  gpu.dispatch(kernels.elementwise_accumulate, {
    ...elementwiseCall(gpu, y, {}),
    buffers: { x, y },
  })
}
