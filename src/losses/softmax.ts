import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { LogitTerms, ObjectiveDefinition, Recipe, Regulariser } from './definition.ts'
import { hardCase, softCase } from './gradientCases.ts'
import { checkTerms } from './logitTerms.ts'
import { logSoftmax, normalizeLogits } from './probabilities.ts'
import { lossCall, lossGradient, meanLoss } from './rowLoss.ts'
import { checkTargets, type LossOutputs, type Targets } from './targets.ts'

interface Smoothing {
  /** Share of the target that is spread over all classes (eq. 2), in [0, 1). Default 0. */
  readonly smoothing?: number
}

/**
 * Softmax cross-entropy, the mean over the batch of eq. 2,
 *
 *   1 / (1 - smoothing) * sum_k ((1 - smoothing) t_k + smoothing / K) (logsumexp(y) - y_k),
 *
 * on y = z or, with `tau`, y = z / (tau |z|) (eq. 6), plus penalty |z|² (eq. 5). Without smoothing
 * it is eq. 1. At z = 0 the norm of eq. 6 is a constant 1e-6.
 *
 * logits [N, K]; labels [N] below K, or targets [N, K]. Returns a scalar [1].
 *
 * @throws Error on shapes that do not fit, smoothing outside [0, 1), tau not above 0 or a negative penalty
 */
export const softmaxCrossEntropy = defineOp<
  { logits: Tensor },
  Targets & LossOutputs & LogitTerms & Smoothing
>()({
  name: 'softmaxCrossEntropy',
  gradientCases: [
    hardCase(3, 5, {}),
    hardCase(41, 10, {}),
    softCase(7, 3, {}),
    hardCase(1, 48, {}),
    hardCase(5, 16, { smoothing: 0.1 }),
    softCase(3, 7, { smoothing: 0.25, penalty: 0.5 }),
    hardCase(17, 8, { penalty: 0.0625 }),
    hardCase(19, 10, { tau: 0.25 }),
    softCase(4, 12, { tau: 0.5, smoothing: 0.125, penalty: 0.25 }),
  ],
  forward(run, { logits }, attributes) {
    const { gpu } = run
    const { smoothing = 0, tau, penalty } = attributes
    const { classes } = checkTargets('softmaxCrossEntropy', logits.shape, attributes)
    checkTerms('softmaxCrossEntropy', attributes)
    if (!(smoothing >= 0 && smoothing < 1))
      throw new Error(`softmaxCrossEntropy: smoothing is ${smoothing}, expected a number in [0, 1)`)
    const call = lossCall(run, logits, attributes)
    const kernel = attributes.targets
      ? kernels.loss_softmax_soft_targets
      : kernels.loss_softmax_cross_entropy
    gpu.dispatch(kernel, {
      ...call,
      conditions: {
        ...call.conditions,
        NORM: tau !== undefined,
        PENALTY: penalty !== undefined,
        SMOOTH: smoothing > 0,
      },
      params: {
        ...call.params,
        keep: 1 - smoothing,
        spread: smoothing / classes,
        smoothing,
        factor: 1 / (1 - smoothing),
        tau: tau ?? 1,
        penalty: penalty ?? 0,
      },
    })
    const { losses, dlogits } = call.buffers
    return { output: meanLoss(gpu, losses), saved: { dlogits } }
  },
  backward: (run, dloss, { dlogits }) => lossGradient(run, dloss, dlogits),
})

/** The recipe of softmax, which regularised and normalised objectives build on. */
export const softmaxRecipe: Recipe = {
  loss: (tape, logits, target, terms) =>
    softmaxCrossEntropy(tape, { logits }, { ...target, ...terms }),
  logProbabilities: (z, { tau }) => {
    if (tau !== undefined) normalizeLogits(z, tau)
    logSoftmax(z)
  },
}

/** The objective that softmax becomes with a regulariser's or a normalisation's term. */
export function onSoftmax(regulariser: Regulariser): ObjectiveDefinition {
  return {
    ...regulariser,
    recipe: (values, context) => ({ ...softmaxRecipe, ...regulariser.term(values, context) }),
  }
}

/** Softmax: the paper's baseline (eq. 1). */
export const softmax: ObjectiveDefinition = {
  name: 'softmax',
  label: 'Softmax',
  hyperparameters: {},
  recipe: () => softmaxRecipe,
}
