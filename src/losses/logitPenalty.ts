import { notNegative } from './definition.ts'
import { onSoftmax } from './softmax.ts'

/** Logit penalty (eq. 5): softmax cross-entropy plus beta |z|². */
export const logitPenalty = onSoftmax({
  name: 'logit-penalty',
  label: 'Logit penalty',
  hyperparameters: {
    beta: {
      default: () => 6e-4,
      meaning: 'weight of the squared norm of the logits',
      refuse: notNegative,
    },
  },
  released: 'beta / 2 |z|² (D1)',
  term: ({ beta }, { variant }) => ({
    terms: { penalty: variant === 'released' ? beta! / 2 : beta! },
  }),
})
