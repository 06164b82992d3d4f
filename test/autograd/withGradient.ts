import { defineOp } from '../../src/autograd/op.ts'
import type { Tensor } from '../../src/autograd/tensor.ts'
import type { GpuArray } from '../../src/gpu/gpuArray.ts'

/** A scalar whose gradient with respect to x is dy. */
export const withGradient = defineOp<{ x: Tensor }, { readonly dy: GpuArray<'f32'> }>()({
  name: 'test.withGradient',
  gradientCases: [],
  forward: ({ gpu }) => ({ output: gpu.zeros('f32', [1]), saved: {} }),
  backward: (_, __, ___, { dy }) => ({ x: dy.retain() }),
})
