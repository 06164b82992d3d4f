// Compiled with the project and never run: a kernel call with something missing, misnamed or of the
// wrong type does not compile. A line that compiles after all makes its @ts-expect-error an error.
import { kernels } from '../../src/gpu/generated/kernels.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { GpuArray } from '../../src/gpu/gpuArray.ts'

export function calls(gpu: Gpu, x: GpuArray<'f32'>, y: GpuArray<'f32'>, taps: GpuArray<'u32'>) {
  const constants = { LANES: 8 }
  const params = { items: 1, itemsPerLane: 1 }
  const pool = {
    ...params,
    channelItems: 1,
    inHeight: 1,
    inWidth: 1,
    outHeight: 1,
    outWidth: 1,
    sizeH: 1,
    sizeW: 1,
    strideH: 1,
    strideW: 1,
    padH: 0,
    padW: 0,
  }
  const one = [1, 1, 1] as const
  const relu = { constants, params, buffers: { x, y }, workgroups: one }
  const max = {
    constants,
    params: pool,
    buffers: { x, y, taps },
    conditions: { C4: true, TAPS: true },
    workgroups: one,
  }

  gpu.dispatch(kernels.relu_forward, relu)
  gpu.dispatch(kernels.max_pool_2d_forward, max)

  // Bindings: missing, misnamed, wrongly typed, not an array.
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, buffers: { x } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, buffers: { x, out: y } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, buffers: { x, y, z: y } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, buffers: { x: taps, y } })
  // @ts-expect-error
  gpu.dispatch(kernels.max_pool_2d_forward, { ...max, buffers: { x, y, taps: x } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, buffers: { x: new Float32Array(1), y } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { constants, params, workgroups: one })

  // Uniform fields: missing, misnamed, one too many, wrongly typed.
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, params: { items: 1 } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, params: { items: 1, itemsPerlane: 1 } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, params: { items: 1, itemsPerLane: 1, stride: 1 } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, params: { items: 1, itemsPerLane: '1' } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { constants, buffers: { x, y }, workgroups: one })

  // Constants: missing, misnamed.
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { params, buffers: { x, y }, workgroups: one })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, constants: { WIDTH: 8 } })

  // Conditions: missing, misnamed, not a switch, given to a kernel that has none.
  // @ts-expect-error
  gpu.dispatch(kernels.max_pool_2d_forward, { ...max, conditions: { C4: true } })
  // @ts-expect-error
  gpu.dispatch(kernels.max_pool_2d_forward, { ...max, conditions: { C4: true, TAP: true } })
  // @ts-expect-error
  gpu.dispatch(kernels.max_pool_2d_forward, { ...max, conditions: { C4: true, TAPS: 1 } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, conditions: { C4: true } })

  // Workgroups: missing, in too few dimensions.
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { constants, params, buffers: { x, y } })
  // @ts-expect-error
  gpu.dispatch(kernels.relu_forward, { ...relu, workgroups: [1, 1] })
}
