import { convolve, convolveBackwardData, convolveBackwardWeights } from '../convolution.ts'
import type { ConvolutionShape } from '../convolutionShape.ts'
import type { ConvolutionVariant } from '../convolutionVariant.ts'
import { defineOp } from '../op.ts'
import { type Pair, pair } from '../pair.ts'
import type { Tensor } from '../tensor.ts'

export interface Conv2dAttributes {
  /** Step of the window, in pixels; a number for both axes or [height, width]. Default 1. */
  readonly stride?: Pair
  /** Zeros added on both sides. Default 0. */
  readonly padding?: Pair
  /** Distance between taps. Default 1. */
  readonly dilation?: Pair
  /** Forces variants of the kernels, for tests and tuning. */
  readonly variant?: ConvolutionVariant
}

/**
 * Sizes of a convolution of x [N, H, W, Ci] with w [R, S, Ci, Co].
 *
 * @throws Error naming the argument that does not fit
 */
export function convolutionShape(
  x: readonly number[],
  w: readonly number[],
  attributes: Conv2dAttributes,
): ConvolutionShape {
  if (x.length !== 4) throw new Error(`conv2d: x is [${x}], expected [N, H, W, Ci]`)
  if (w.length !== 4) throw new Error(`conv2d: weight is [${w}], expected [R, S, Ci, Co]`)
  const [batch, inHeight, inWidth, inChannels] = x as [number, number, number, number]
  const [kernelHeight, kernelWidth, ci, outChannels] = w as [number, number, number, number]
  if (ci !== inChannels)
    throw new Error(`conv2d: weight has ${ci} input channels, x has ${inChannels}`)
  const [strideH, strideW] = pair('conv2d', 'stride', attributes.stride ?? 1, 1)
  const [padH, padW] = pair('conv2d', 'padding', attributes.padding ?? 0, 0)
  const [dilationH, dilationW] = pair('conv2d', 'dilation', attributes.dilation ?? 1, 1)
  const outHeight =
    Math.floor((inHeight + 2 * padH - dilationH * (kernelHeight - 1) - 1) / strideH) + 1
  const outWidth =
    Math.floor((inWidth + 2 * padW - dilationW * (kernelWidth - 1) - 1) / strideW) + 1
  if (batch < 1 || outHeight < 1 || outWidth < 1)
    throw new Error(
      `conv2d: a kernel [${w}] does not fit into x [${x}] with padding [${padH}, ${padW}]`,
    )
  return {
    batch,
    inHeight,
    inWidth,
    inChannels,
    outHeight,
    outWidth,
    outChannels,
    kernelHeight,
    kernelWidth,
    strideH,
    strideW,
    padH,
    padW,
    dilationH,
    dilationW,
  }
}

/**
 * 2-d convolution (cross-correlation, as PyTorch's `conv2d`), without bias.
 *
 * x [N, H, W, Ci], weight [R, S, Ci, Co] -> [N, OH, OW, Co] with
 * OH = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1.
 */
export const conv2d = defineOp<{ x: Tensor; weight: Tensor }, Conv2dAttributes>()({
  name: 'conv2d',
  gradientCases: [
    { shapes: { x: [2, 5, 7, 3], weight: [3, 3, 3, 5] }, attributes: () => ({ padding: 1 }) },
    { shapes: { x: [1, 7, 5, 1], weight: [2, 3, 1, 7] }, attributes: () => ({ padding: 2 }) },
    {
      shapes: { x: [3, 9, 8, 4], weight: [3, 3, 4, 8] },
      attributes: () => ({ stride: 2, padding: 1 }),
    },
    {
      shapes: { x: [1, 11, 9, 5], weight: [3, 2, 5, 3] },
      attributes: () => ({ stride: [2, 3] as const, padding: [0, 1] as const, dilation: 2 }),
    },
    {
      shapes: { x: [17, 3, 3, 8], weight: [3, 3, 8, 20] },
      attributes: () => ({ padding: 1 }),
    },
    { shapes: { x: [33, 2, 2, 41], weight: [1, 1, 41, 47] }, attributes: () => ({}) },
    { shapes: { x: [2, 4, 4, 32], weight: [3, 3, 32, 16] }, attributes: () => ({ padding: 1 }) },
    {
      shapes: { x: [1, 15, 14, 3], weight: [7, 7, 3, 4] },
      attributes: () => ({ stride: 2, padding: 3 }),
    },
  ],
  forward(run, { x, weight }, attributes) {
    const shape = convolutionShape(x.shape, weight.shape, attributes)
    const { batch, outHeight, outWidth, outChannels } = shape
    const y = run.gpu.empty('f32', [batch, outHeight, outWidth, outChannels], 'conv2d')
    convolve(run.gpu, shape, { x, w: weight, y }, attributes.variant)
    return {
      output: y,
      saved: {
        x: run.needs.weight ? x : undefined,
        weight: run.needs.x ? weight : undefined,
      },
    }
  },
  backward(run, dy, { x, weight }, attributes) {
    const dx = run.needs.x ? run.gradientOf('x') : undefined
    const dw = run.needs.weight ? run.gradientOf('weight') : undefined
    const shape = convolutionShape(run.shapes.x, run.shapes.weight, attributes)
    if (dx && weight)
      convolveBackwardData(run.gpu, shape, { dy, w: weight, dx }, attributes.variant)
    if (dw && x) convolveBackwardWeights(run.gpu, shape, { x, dy, dw }, attributes.variant)
    return { x: dx, weight: dw }
  },
})
