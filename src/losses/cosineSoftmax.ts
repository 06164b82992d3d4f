import { linear } from '../autograd/ops/linear.ts'
import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { type LastLayer, positive } from './definition.ts'
import { normalize } from './normalize.ts'
import { scale } from './scale.ts'
import { onSoftmax } from './softmax.ts'

/** z = sim(W_k, x) / tau + b_k: the product of unit features, divided by tau, and unit weights. */
function cosineLogits(tape: Tape, x: Tensor, { weight, bias }: LastLayer, tau: number): Tensor {
  return linear(
    tape,
    {
      x: normalize(tape, { x }, { of: 'rows', scale: 1 / tau }),
      weight: normalize(tape, { x: weight }, { of: 'columns', scale: 1 }),
      bias,
    },
    {},
  )
}

/** z = (x . W_k / |W_k| + b_k) / tau: as released, with the features as they are (D5, D6). */
function releasedLogits(tape: Tape, x: Tensor, { weight, bias }: LastLayer, tau: number): Tensor {
  return linear(
    tape,
    {
      x,
      weight: normalize(tape, { x: weight }, { of: 'columns', scale: 1 / tau }),
      bias: scale(tape, { x: bias }, { factor: 1 / tau }),
    },
    {},
  )
}

/**
 * Cosine softmax (eq. 7): softmax cross-entropy of sim(W_k, x) / tau + b_k, with sim the cosine
 * similarity. A zero feature vector or weight row has similarity 0 to everything, and its norm
 * counts as a constant 1e-6 (see `normalize`).
 */
export const cosineSoftmax = onSoftmax({
  name: 'cosine-softmax',
  label: 'Cosine softmax',
  hyperparameters: {
    tau: { default: () => 0.05, meaning: 'temperature', refuse: positive },
    lossScale: {
      // Footnote 1 of the paper: training below 0.05 was unstable without it.
      default: ({ variant }, { tau }) => (variant === 'paper' && tau! < 0.05 ? tau! : 1),
      meaning: 'factor of the whole loss; tau where tau is below 0.05, else 1 (D19)',
      refuse: positive,
    },
  },
  released: 'features are not normalised (D5), and the bias is divided by tau too (D6)',
  term: ({ tau, lossScale }, { variant }) => ({
    logits: (tape, x, layer) =>
      (variant === 'released' ? releasedLogits : cosineLogits)(tape, x, layer, tau!),
    finish: (tape, loss) =>
      lossScale === 1 ? loss : scale(tape, { x: loss }, { factor: lossScale! }),
    needsFeatures: 'normalises features and weight: give them with the bias instead of the logits',
  }),
})
