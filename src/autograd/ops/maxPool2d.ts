import { elementwiseCall } from '../../gpu/elementwise.ts'
import { kernels } from '../../gpu/generated/kernels.ts'
import { pieces } from '../../gpu/pieces.ts'
import { defineOp } from '../op.ts'
import { type Pair, pair } from '../pair.ts'
import type { Tensor } from '../tensor.ts'

export interface MaxPool2dAttributes {
  /** Extent of the window, in pixels; a number for both axes or [height, width]. */
  readonly size: Pair
  /** Step of the window. Default: its size. */
  readonly stride?: Pair
  /**
   * Pixels of -infinity added on both sides, at most half the window. Default 0. `same`
   * (TensorFlow): as many as give ceil(size / stride) windows, an odd one at the bottom or right.
   */
  readonly padding?: Pair | 'same'
}

/** Sizes of the pooling of x [N, H, W, C], as the kernels take them. */
function poolShape(x: readonly number[], attributes: MaxPool2dAttributes) {
  if (x.length !== 4 || x.includes(0))
    throw new Error(`maxPool2d: x is [${x}], expected [N, H, W, C]`)
  const [batch, inHeight, inWidth, channels] = x as [number, number, number, number]
  const { size, stride = size, padding = 0 } = attributes
  const [sizeH, sizeW] = pair('maxPool2d', 'size', size, 1)
  const [strideH, strideW] = pair('maxPool2d', 'stride', stride, 1)
  if (padding === 'same') {
    const [outHeight, padH] = samePadding(inHeight, sizeH, strideH)
    const [outWidth, padW] = samePadding(inWidth, sizeW, strideW)
    const window = { sizeH, sizeW, strideH, strideW, padH, padW }
    return poolCall([batch, inHeight, inWidth, channels], outHeight, outWidth, window)
  }
  const [padH, padW] = pair('maxPool2d', 'padding', padding, 0)
  if (2 * padH > sizeH || 2 * padW > sizeW)
    throw new Error(
      `maxPool2d: padding is [${padH}, ${padW}], expected at most half the size, [${sizeH}, ${sizeW}]`,
    )
  const outHeight = Math.floor((inHeight + 2 * padH - sizeH) / strideH) + 1
  const outWidth = Math.floor((inWidth + 2 * padW - sizeW) / strideW) + 1
  if (outHeight < 1 || outWidth < 1)
    throw new Error(
      `maxPool2d: a window of size [${sizeH}, ${sizeW}] does not fit into x [${x}] with padding [${padH}, ${padW}]`,
    )
  const window = { sizeH, sizeW, strideH, strideW, padH, padW }
  return poolCall([batch, inHeight, inWidth, channels], outHeight, outWidth, window)
}

/** Windows along an axis and padding before it, as TensorFlow's SAME has them. */
function samePadding(extent: number, size: number, stride: number): [number, number] {
  const windows = Math.ceil(extent / stride)
  return [windows, Math.floor(Math.max(0, (windows - 1) * stride + size - extent) / 2)]
}

function poolCall(
  [batch, inHeight, inWidth, channels]: readonly [number, number, number, number],
  outHeight: number,
  outWidth: number,
  window: Readonly<Record<'sizeH' | 'sizeW' | 'strideH' | 'strideW' | 'padH' | 'padW', number>>,
) {
  const width: 1 | 4 = channels % 4 === 0 ? 4 : 1
  return {
    batch,
    width,
    output: [batch, outHeight, outWidth, channels],
    params: { channelItems: channels / width, inHeight, inWidth, outHeight, outWidth, ...window },
  }
}

/**
 * 2-d max pooling, as PyTorch's `max_pool2d`: padding is never chosen, and of equal values the first
 * in row-major order of the window gets the gradient.
 *
 * x [N, H, W, C] -> [N, OH, OW, C] with OH = floor((H + 2 padding - size) / stride) + 1.
 *
 * @throws Error when x is not of rank 4, or on a size, stride or padding that does not fit
 */
export const maxPool2d = defineOp<{ x: Tensor }, MaxPool2dAttributes>()({
  name: 'maxPool2d',
  gradientCases: [
    { shapes: { x: [2, 7, 5, 3] }, attributes: () => ({ size: 3, stride: 2, padding: 1 }) },
    { shapes: { x: [3, 8, 8, 16] }, attributes: () => ({ size: 3, stride: 2, padding: 1 }) },
    { shapes: { x: [1, 6, 6, 4] }, attributes: () => ({ size: 2 }) },
    { shapes: { x: [1, 5, 7, 1] }, attributes: () => ({ size: 3, stride: 1 }) },
    {
      shapes: { x: [2, 9, 6, 5] },
      attributes: () => ({ size: [2, 3], stride: [3, 1], padding: [1, 0] }),
    },
    { shapes: { x: [1, 3, 4, 47] }, attributes: () => ({ size: 2, stride: 1, padding: 1 }) },
    { shapes: { x: [1, 1, 1, 104] }, attributes: () => ({ size: 3, stride: 2, padding: 1 }) },
    { shapes: { x: [2, 8, 7, 4] }, attributes: () => ({ size: 3, stride: 2, padding: 'same' }) },
  ],
  forward(run, { x }, attributes) {
    const { batch, output, width, params } = poolShape(x.shape, attributes)
    const y = run.gpu.empty('f32', output, 'maxPool2d')
    const taps = run.temporary('u32', run.needs.x ? output : [1])
    for (const { views } of pieces(run.gpu, batch, { x, y, ...(run.needs.x && { taps }) }))
      run.gpu.dispatch(kernels.max_pool_2d_forward, {
        ...elementwiseCall(run.gpu, views.y, params, width),
        conditions: { C4: width === 4, TAPS: run.needs.x },
        buffers: { taps, ...views },
      })
    return { output: y, saved: { taps } }
  },
  backward(run, dy, { taps }, attributes) {
    const { batch, width, params } = poolShape(run.shapes.x, attributes)
    const dx = run.gradientOf('x')
    for (const { views } of pieces(run.gpu, batch, { dy, taps, dx }))
      run.gpu.dispatch(kernels.max_pool_2d_backward, {
        ...elementwiseCall(run.gpu, views.dx, params, width),
        conditions: { C4: width === 4 },
        buffers: views,
      })
    return { x: dx }
  },
})
