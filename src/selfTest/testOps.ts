import { convolve } from '../autograd/convolution.ts'
import { productShape } from '../autograd/convolutionShape.ts'
import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

/** Ops that only tests use, to put an op under test into the middle of a graph. */
export const testOps: ReadonlySet<string> = new Set(['test.weightedSum', 'test.scale'])

/** y = sum over i of r[i] * x[i], a scalar [1]. */
export const weightedSum = defineOp<{ x: Tensor }, { readonly r: GpuArray<'f32'> }>()({
  name: 'test.weightedSum',
  gradientCases: [],
  forward({ gpu }, { x }, { r }) {
    const y = gpu.empty('f32', [1], 'weightedSum')
    convolve(gpu, productShape(1, x.length, 1), { x, w: r, y })
    return { output: y, saved: {} }
  },
  backward(run, dy, _, { r }) {
    const dx = run.gradientOf('x')
    run.gpu.dispatch(kernels.loss_scale_gradient, {
      ...elementwiseCall(run.gpu, dx, {}),
      buffers: { g: r, dloss: dy, dx },
    })
    return { x: dx }
  },
})

/** y = factor[0] * x. */
export const scale = defineOp<{ x: Tensor }, { readonly factor: GpuArray<'f32'> }>()({
  name: 'test.scale',
  gradientCases: [],
  forward({ gpu }, { x }, { factor }) {
    const y = gpu.empty('f32', x.shape, 'scale')
    gpu.dispatch(kernels.loss_scale_gradient, {
      ...elementwiseCall(gpu, y, {}),
      buffers: { g: x, dloss: factor, dx: y },
    })
    return { output: y, saved: {} }
  },
  backward(run, dy, _, { factor }) {
    const dx = run.gradientOf('x')
    run.gpu.dispatch(kernels.loss_scale_gradient, {
      ...elementwiseCall(run.gpu, dx, {}),
      buffers: { g: dy, dloss: factor, dx },
    })
    return { x: dx }
  },
})
