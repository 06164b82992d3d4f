import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { rowCall } from './rowLoss.ts'

export interface NormalizeAttributes {
  /** Which vectors of the matrix get norm `scale`. */
  readonly of: 'rows' | 'columns'
  readonly scale: number
}

function launch(gpu: Gpu, shape: readonly number[], { of, scale }: NormalizeAttributes) {
  const [rows, columns] = shape as [number, number]
  // Lanes side by side over columns read neighbours; over rows they share a row where rows are few.
  return of === 'rows'
    ? {
        ...rowCall(gpu, rows, columns),
        params: { vectors: rows, length: columns, vectorStride: columns, stride: 1, scale },
      }
    : {
        ...rowCall(gpu, columns, 1),
        params: { vectors: columns, length: rows, vectorStride: 1, stride: columns, scale },
      }
}

/**
 * Each row or column of x [A, B], scaled to norm `scale`.
 *
 * |x|² is taken as at least 1e-12: a vector of zeros stays zero, and where the floor holds the norm
 * counts as a constant, so its gradient is scale * 1e6 * dy.
 *
 * @throws Error when x is not a matrix or scale is not above 0
 */
export const normalize = defineOp<{ x: Tensor }, NormalizeAttributes>()({
  name: 'normalize',
  gradientCases: (
    [
      [[3, 5], 'rows', 1],
      [[41, 16], 'rows', 20],
      [[1, 7], 'rows', 2],
      [[6, 4], 'columns', 1],
      [[37, 10], 'columns', 3],
    ] as const
  ).map(([shape, of, scale]) => ({ shapes: { x: shape }, attributes: () => ({ of, scale }) })),
  forward(run, { x }, attributes) {
    const { gpu } = run
    if (x.shape.length !== 2 || x.length === 0)
      throw new Error(`normalize: x is [${x.shape}], expected a matrix`)
    if (!(attributes.scale > 0 && Number.isFinite(attributes.scale)))
      throw new Error(`normalize: scale is ${attributes.scale}, expected a number above 0`)
    const call = launch(gpu, x.shape, attributes)
    const y = gpu.empty('f32', x.shape, 'normalize')
    const inverse = run.temporary('f32', [call.params.vectors])
    gpu.dispatch(kernels.loss_normalize, { ...call, buffers: { x, y, inverse } })
    return { output: y, saved: { y, inverse } }
  },
  backward(run, dy, { y, inverse }, attributes) {
    const dx = run.gradientOf('x')
    run.gpu.dispatch(kernels.loss_normalize_backward, {
      ...launch(run.gpu, run.shapes.x, attributes),
      buffers: { y, inverse, dy, dx },
    })
    return { x: dx }
  },
})
