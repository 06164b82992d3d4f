import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import { notNegative } from './definition.ts'
import { onSoftmax } from './softmax.ts'

/**
 * loss + factor * |weight|², the sum of squares of all its elements (eq. 4).
 *
 * loss [1]; weight of any shape. Returns a scalar [1].
 *
 * @throws Error when the loss is not a scalar
 */
const addSquaredNorm = defineOp<{ loss: Tensor; weight: Tensor }, { readonly factor: number }>()({
  name: 'addSquaredNorm',
  gradientCases: [[5, 3], [1], [41, 40]].map((weight) => ({
    shapes: { loss: [1], weight },
    attributes: () => ({ factor: 0.75 }),
  })),
  forward(run, { loss, weight }, { factor }) {
    const { gpu } = run
    if (loss.length !== 1) throw new Error(`addSquaredNorm: loss is [${loss.shape}], expected [1]`)
    const call = elementwiseCall(gpu, weight, { length: weight.length })
    const sums = run.temporary('f32', [call.workgroups[0] * call.workgroups[1]])
    gpu.dispatch(kernels.loss_squared_norm, { ...call, buffers: { x: weight, sums } })
    const y = gpu.empty('f32', [1], 'loss')
    gpu.dispatch(kernels.loss_add_squared_norm, {
      constants: call.constants,
      buffers: { loss, sums, y },
      params: { length: sums.length, factor },
      workgroups: [1, 1, 1],
    })
    return { output: y, saved: { weight: run.needs.weight ? weight : undefined } }
  },
  backward(run, dy, { weight }, { factor }) {
    const dw = weight && run.gradientOf('weight')
    if (weight && dw)
      run.gpu.dispatch(kernels.loss_add_squared_norm_backward, {
        ...elementwiseCall(run.gpu, dw, { factor }),
        buffers: { x: weight, dy, dx: dw },
      })
    return { loss: run.needs.loss ? dy.retain() : undefined, weight: dw }
  },
})

/**
 * Extra final-layer L2 (eq. 4): softmax cross-entropy plus lambda |W|² of the last layer's weight,
 * not of its bias, on top of the optimiser's own weight decay.
 */
export const extraL2 = onSoftmax({
  name: 'extra-l2',
  label: 'More final layer L2',
  hyperparameters: {
    lambda: {
      default: () => 8e-4,
      meaning: "weight of the squared norm of the last layer's weight",
      refuse: notNegative,
    },
  },
  released: 'lambda / 2 |W|² (D2)',
  term: ({ lambda }, { variant }) => ({
    finish: (tape, loss, { weight }) =>
      addSquaredNorm(
        tape,
        { loss, weight },
        { factor: variant === 'released' ? lambda! / 2 : lambda! },
      ),
    needsFeatures:
      "acts on the last layer's weight: give features, weight and bias, not the logits",
  }),
})
