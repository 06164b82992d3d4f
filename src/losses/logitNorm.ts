import { positive } from './definition.ts'
import { onSoftmax } from './softmax.ts'

/**
 * Logit normalisation (eq. 6): softmax cross-entropy of z / (tau |z|).
 *
 * |z|² is taken as at least 1e-12; where that floor holds (zero logits), |z| is a constant.
 */
export const logitNorm = onSoftmax({
  name: 'logit-norm',
  label: 'Logit normalisation',
  hyperparameters: {
    tau: {
      default: () => 0.04,
      meaning: 'temperature: the normalised logits have norm 1 / tau',
      refuse: positive,
    },
  },
  term: ({ tau }) => ({ terms: { tau: tau! } }),
})
