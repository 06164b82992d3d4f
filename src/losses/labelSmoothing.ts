import type { ObjectiveDefinition } from './definition.ts'
import { softmaxCrossEntropy, softmaxRecipe } from './softmax.ts'

/**
 * Label smoothing (eq. 2): softmax cross-entropy with targets (1 - alpha) t + alpha / K, divided by
 * 1 - alpha so that the size of the gradient does not depend on it.
 */
export const labelSmoothing: ObjectiveDefinition = {
  name: 'label-smoothing',
  label: 'Label smoothing',
  hyperparameters: {
    alpha: {
      default: () => 0.1,
      meaning: 'share of the target that is spread over all classes',
      refuse: (alpha) => (alpha >= 0 && alpha < 1 ? undefined : 'a number in [0, 1)'),
    },
  },
  recipe: ({ alpha }) => ({
    ...softmaxRecipe,
    loss: (tape, logits, target, terms) =>
      softmaxCrossEntropy(tape, { logits }, { ...target, ...terms, smoothing: alpha! }),
  }),
}
