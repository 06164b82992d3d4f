import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { pieces } from '../gpu/pieces.ts'

function multiply(gpu: Gpu, x: GpuArray<'f32'>, y: GpuArray<'f32'>, factor: number): void {
  for (const { views } of pieces(gpu, y.length, { x, y }))
    gpu.dispatch(kernels.loss_scale, {
      ...elementwiseCall(gpu, views.y, { factor }),
      buffers: views,
    })
}

/** y = factor * x, any shape. */
export const scale = defineOp<{ x: Tensor }, { readonly factor: number }>()({
  name: 'scale',
  gradientCases: [[1], [5, 7]].map((shape) => ({
    shapes: { x: shape },
    attributes: () => ({ factor: 0.375 }),
  })),
  forward(run, { x }, { factor }) {
    const y = run.gpu.empty('f32', x.shape, 'scale')
    multiply(run.gpu, x, y, factor)
    return { output: y, saved: {} }
  },
  backward(run, dy, _, { factor }) {
    const dx = run.gradientOf('x')
    multiply(run.gpu, dy, dx, factor)
    return { x: dx }
  },
})
