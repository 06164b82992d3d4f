import { elementwiseCall } from '../../gpu/elementwise.ts'
import { kernels } from '../../gpu/generated/kernels.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { GpuArray } from '../../gpu/gpuArray.ts'
import { pieces } from '../../gpu/pieces.ts'
import { defineOp } from '../op.ts'
import type { Tensor } from '../tensor.ts'

/** dx = dy where y > 0, else 0; of one length. */
export function reluBackward(
  gpu: Gpu,
  arrays: {
    readonly y: GpuArray<'f32'>
    readonly dy: GpuArray<'f32'>
    readonly dx: GpuArray<'f32'>
  },
): void {
  for (const { views } of pieces(gpu, arrays.dx.length, arrays))
    gpu.dispatch(kernels.relu_backward, { ...elementwiseCall(gpu, views.dx, {}), buffers: views })
}

/**
 * y = max(x, 0), element by element; the gradient at 0 is 0, as in PyTorch.
 *
 * x, y: any shape.
 */
export const relu = defineOp<{ x: Tensor }, Readonly<Record<string, never>>>()({
  name: 'relu',
  gradientCases: [[1], [7], [2, 3, 5, 4], [3, 5, 47], [2, 104]].map((x) => ({
    shapes: { x },
    attributes: () => ({}),
  })),
  forward(run, { x }) {
    const y = run.gpu.empty('f32', x.shape, 'relu')
    for (const { views } of pieces(run.gpu, y.length, { x, y }))
      run.gpu.dispatch(kernels.relu_forward, {
        ...elementwiseCall(run.gpu, views.y, {}),
        buffers: views,
      })
    return { output: y, saved: { y } }
  },
  backward(run, dy, { y }) {
    const dx = run.gradientOf('x')
    reluBackward(run.gpu, { y, dy, dx })
    return { x: dx }
  },
})
