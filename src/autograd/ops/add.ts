import { addArrays } from '../addArrays.ts'
import { defineOp } from '../op.ts'
import type { Tensor } from '../tensor.ts'

/**
 * y = a + b, element by element.
 *
 * a, b, y: one shape; nothing is broadcast.
 *
 * @throws Error when the shapes differ
 */
export const add = defineOp<{ a: Tensor; b: Tensor }, Readonly<Record<string, never>>>()({
  name: 'add',
  gradientCases: [[1], [7], [2, 3, 5, 4], [3, 5, 47], [2, 104]].map((shape) => ({
    shapes: { a: shape, b: shape },
    attributes: () => ({}),
  })),
  forward(run, { a, b }) {
    if (`${a.shape}` !== `${b.shape}`)
      throw new Error(`add: b is [${b.shape}], expected the shape of a, [${a.shape}]`)
    const y = run.gpu.empty('f32', a.shape, 'add')
    addArrays(run.gpu, { a, b, y })
    return { output: y, saved: {} }
  },
  backward(run, dy) {
    return {
      a: run.needs.a ? dy.retain() : undefined,
      b: run.needs.b ? dy.retain() : undefined,
    }
  },
})
