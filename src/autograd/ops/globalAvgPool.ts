import { elementwiseCall } from '../../gpu/elementwise.ts'
import { kernels } from '../../gpu/generated/kernels.ts'
import { pieces } from '../../gpu/pieces.ts'
import { defineOp } from '../op.ts'
import type { Tensor } from '../tensor.ts'

/**
 * The mean over all pixels: y[n, c] = mean over h, w of x[n, h, w, c].
 *
 * x [N, H, W, C] -> [N, C].
 *
 * @throws Error when x is not of rank 4
 */
export const globalAvgPool = defineOp<{ x: Tensor }, Readonly<Record<string, never>>>()({
  name: 'globalAvgPool',
  gradientCases: [
    [2, 7, 7, 8],
    [3, 2, 5, 7],
    [1, 1, 1, 104],
    [5, 1, 1, 3],
    [1, 4, 3, 1],
    [9, 2, 2, 41],
  ].map((x) => ({ shapes: { x }, attributes: () => ({}) })),
  forward(run, { x }) {
    if (x.shape.length !== 4 || x.length === 0)
      throw new Error(`globalAvgPool: x is [${x.shape}], expected [N, H, W, C]`)
    const [batch, height, width, channels] = x.shape as [number, number, number, number]
    const itemWidth = channels % 4 === 0 ? 4 : 1
    const y = run.gpu.empty('f32', [batch, channels], 'globalAvgPool')
    const params = { channelItems: channels / itemWidth, height, width }
    for (const { views } of pieces(run.gpu, batch, { x, y }))
      run.gpu.dispatch(kernels.global_avg_pool_forward, {
        ...elementwiseCall(run.gpu, views.y, params, itemWidth),
        conditions: { C4: itemWidth === 4 },
        buffers: views,
      })
    return { output: y, saved: {} }
  },
  backward(run, dy) {
    const [batch, height, width, channels] = run.shapes.x as [number, number, number, number]
    const itemWidth = channels % 4 === 0 ? 4 : 1
    const dx = run.gradientOf('x')
    const params = { channelItems: channels / itemWidth, pixels: height * width }
    for (const { views } of pieces(run.gpu, batch, { dy, dx }))
      run.gpu.dispatch(kernels.global_avg_pool_backward, {
        ...elementwiseCall(run.gpu, views.dx, params, itemWidth),
        conditions: { C4: itemWidth === 4 },
        buffers: views,
      })
    return { x: dx }
  },
})
