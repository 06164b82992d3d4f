import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { LogitTerms, ObjectiveDefinition } from './definition.ts'
import { hardCase, softCase } from './gradientCases.ts'
import { checkTerms } from './logitTerms.ts'
import { logNormalizedSigmoid, normalizeLogits } from './probabilities.ts'
import { lossCall, lossGradient, meanLoss } from './rowLoss.ts'
import { checkTargets, type LossOutputs, type Targets } from './targets.ts'

interface Shift {
  /** Added to every logit first. Default 0. */
  readonly shift?: number
}

/**
 * Sigmoid cross-entropy (eq. 8), the mean over the batch of sum_k softplus(y_k) - t_k y_k, summed over
 * classes, on y = z + shift or, with `tau`, its normalised form (eq. 6), plus penalty |z + shift|² (eq. 5).
 *
 * logits [N, K]; labels [N] below K, or targets [N, K]. Returns a scalar [1].
 *
 * @throws Error on shapes that do not fit, tau not above 0 or a negative penalty
 */
export const sigmoidCrossEntropy = defineOp<
  { logits: Tensor },
  Targets & LossOutputs & LogitTerms & Shift
>()({
  name: 'sigmoidCrossEntropy',
  gradientCases: [
    hardCase(3, 5, {}),
    hardCase(41, 10, {}),
    softCase(7, 3, {}),
    hardCase(1, 48, { shift: -3.5 }),
    hardCase(2, 1, {}),
    softCase(5, 16, { penalty: 0.5, shift: 0.25 }),
    hardCase(19, 10, { tau: 0.25, penalty: 0.125 }),
    softCase(4, 12, { tau: 0.5, shift: 0.75 }),
  ],
  forward(run, { logits }, attributes) {
    const { gpu } = run
    const { tau, penalty, shift = 0 } = attributes
    checkTargets('sigmoidCrossEntropy', logits.shape, attributes)
    checkTerms('sigmoidCrossEntropy', attributes)
    const call = lossCall(run, logits, attributes)
    gpu.dispatch(kernels.loss_sigmoid_cross_entropy, {
      ...call,
      conditions: { ...call.conditions, NORM: tau !== undefined, PENALTY: penalty !== undefined },
      params: { ...call.params, shift, tau: tau ?? 1, penalty: penalty ?? 0 },
    })
    const { losses, dlogits } = call.buffers
    return { output: meanLoss(gpu, losses), saved: { dlogits } }
  },
  backward: (run, dloss, { dlogits }) => lossGradient(run, dloss, dlogits),
})

/**
 * Sigmoid cross-entropy (eq. 8) with the last layer's bias starting at -log K, so that the initial
 * probabilities are about 1 / K. Classes are ranked by their logits.
 */
export const sigmoid: ObjectiveDefinition = {
  name: 'sigmoid',
  label: 'Sigmoid',
  hyperparameters: {},
  released: 'log K is taken off the logits, and the bias starts at 0 (D7)',
  recipe: (_, { classes, variant }) => {
    const shift = variant === 'released' ? -Math.log(classes) : 0
    return {
      loss: (tape, logits, target, terms) =>
        sigmoidCrossEntropy(tape, { logits }, { ...target, ...terms, shift }),
      initialBias: variant === 'released' ? 0 : -Math.log(classes),
      logProbabilities: (z, { tau }) => {
        for (let k = 0; k < z.length; k++) z[k]! += shift
        if (tau !== undefined) normalizeLogits(z, tau)
        logNormalizedSigmoid(z)
      },
    }
  },
}
