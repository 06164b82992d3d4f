import { elementwiseCall } from '../../gpu/elementwise.ts'
import { kernels } from '../../gpu/generated/kernels.ts'
import { pieces } from '../../gpu/pieces.ts'
import {
  convolve,
  convolveBackwardData,
  convolveBackwardWeights,
  sumSlices,
} from '../convolution.ts'
import { type ConvolutionShape, productShape } from '../convolutionShape.ts'
import { defineOp } from '../op.ts'
import type { Tensor } from '../tensor.ts'

/** A matrix product [N, in] x [in, out] as a 1x1 convolution of N images of one pixel. */
function matrixProduct(x: readonly number[], weight: readonly number[]): ConvolutionShape {
  if (x.length !== 2 || x.includes(0)) throw new Error(`linear: x is [${x}], expected [N, in]`)
  if (weight.length !== 2 || weight.includes(0))
    throw new Error(`linear: weight is [${weight}], expected [in, out]`)
  const [batch, inChannels] = x as [number, number]
  const [inFeatures, outChannels] = weight as [number, number]
  if (inFeatures !== inChannels)
    throw new Error(`linear: weight has ${inFeatures} input features, x has ${inChannels}`)
  return productShape(batch, inChannels, outChannels)
}

/**
 * y = x weight + bias.
 *
 * x [N, in], weight [in, out], bias [out] -> [N, out].
 *
 * @throws Error on shapes that do not fit
 */
export const linear = defineOp<
  { x: Tensor; weight: Tensor; bias?: Tensor | undefined },
  Readonly<Record<string, never>>
>()({
  name: 'linear',
  gradientCases: [
    { x: [2, 5], weight: [5, 3], bias: [3] },
    { x: [1, 1], weight: [1, 1], bias: [1] },
    { x: [17, 16], weight: [16, 20], bias: [20] },
    { x: [33, 41], weight: [41, 10], bias: [10] },
    { x: [7, 104], weight: [104, 47] },
    { x: [65, 8], weight: [8, 4] },
  ].map((shapes) => ({ shapes, attributes: () => ({}) })),
  forward(run, { x, weight, bias }) {
    const { gpu } = run
    const shape = matrixProduct(x.shape, weight.shape)
    const out = shape.outChannels
    if (bias && (bias.shape.length !== 1 || bias.shape[0] !== out))
      throw new Error(`linear: bias is [${bias.shape}], expected [${out}]`)
    const y = gpu.empty('f32', [shape.batch, out], 'linear')
    convolve(gpu, shape, { x, w: weight, y })
    if (bias) {
      const width = out % 4 === 0 ? 4 : 1
      for (const { views } of pieces(gpu, shape.batch, { y }))
        gpu.dispatch(kernels.linear_add_bias, {
          ...elementwiseCall(gpu, views.y, { rowItems: out / width }, width),
          conditions: { VEC4: width === 4 },
          buffers: { bias, ...views },
        })
    }
    return {
      output: y,
      saved: {
        x: run.needs.weight ? x : undefined,
        weight: run.needs.x ? weight : undefined,
      },
    }
  },
  backward(run, dy, { x, weight }) {
    const { gpu, needs } = run
    const shape = matrixProduct(run.shapes.x, run.shapes.weight)
    const dx = needs.x ? run.gradientOf('x') : undefined
    const dw = needs.weight ? run.gradientOf('weight') : undefined
    const db = needs.bias ? run.gradientOf('bias') : undefined
    if (dx && weight) convolveBackwardData(gpu, shape, { dy, w: weight, dx })
    if (dw && x) convolveBackwardWeights(gpu, shape, { x, dy, dw })
    if (db) sumSlices(gpu, dy, db, shape.batch)
    return { x: dx, weight: dw, bias: db }
  },
})
