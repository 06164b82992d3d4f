import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import { type ObjectiveDefinition, positive } from './definition.ts'
import { hardCase, softCase } from './gradientCases.ts'
import { lossCall, lossGradient, meanLoss } from './rowLoss.ts'
import { checkTargets, type LossOutputs, type Targets } from './targets.ts'

export interface SquaredErrorParameters {
  /** Weight of the true class's term. */
  readonly kappa: number
  /** Value that the true class's logit is drawn to. */
  readonly m: number
  /** Factor of the whole loss. */
  readonly scale: number
}

/**
 * Squared error (eq. 9), the mean over the batch of
 * scale / K * sum_k [kappa t_k (z_k - m)^2 + (1 - t_k) z_k^2].
 *
 * logits [N, K]; labels [N] below K, or targets [N, K]. Returns a scalar [1].
 *
 * @throws Error on shapes that do not fit
 */
const squaredErrorLoss = defineOp<
  { logits: Tensor },
  Targets & LossOutputs & SquaredErrorParameters
>()({
  name: 'squaredError',
  gradientCases: [
    hardCase(3, 5, { kappa: 9, m: 60, scale: 0.1 }),
    hardCase(41, 10, { kappa: 9, m: 60, scale: 0.1 }),
    softCase(7, 3, { kappa: 4, m: 2, scale: 10 }),
    hardCase(1, 48, { kappa: 9, m: 60, scale: 0.47 }),
  ],
  forward(run, { logits }, attributes) {
    const { gpu } = run
    const { kappa, m, scale } = attributes
    const { classes } = checkTargets('squaredError', logits.shape, attributes)
    const call = lossCall(run, logits, attributes)
    gpu.dispatch(kernels.loss_squared_error, {
      ...call,
      params: { ...call.params, kappa, m, factor: scale / classes },
    })
    const { losses, dlogits } = call.buffers
    return { output: meanLoss(gpu, losses), saved: { dlogits } }
  },
  backward: (run, dloss, { dlogits }) => lossGradient(run, dloss, dlogits),
})

/**
 * Squared error (eq. 9). The paper's loss scale of 10 was tuned at 1,000 classes; since the 1/K of
 * eq. 9 makes the loss 1000/K times larger at K classes, the default scale is 10 * K / 1000.
 * The paper defines no probabilities for it (Table C.3 leaves it out).
 */
export const squaredError: ObjectiveDefinition = {
  name: 'squared-error',
  label: 'Squared error',
  hyperparameters: {
    kappa: { default: () => 9, meaning: "weight of the true class's term", refuse: positive },
    m: {
      default: () => 60,
      meaning: "value that the true class's logit is drawn to",
      refuse: () => undefined,
    },
    scale: {
      default: ({ classes, variant }) => (variant === 'released' ? 10 : (10 * classes) / 1000),
      meaning: 'factor of the whole loss',
      refuse: positive,
    },
  },
  released: 'the sum over classes is not divided by K (D4)',
  recipe: ({ kappa, m, scale }, { classes, variant }) => {
    const parameters = {
      kappa: kappa!,
      m: m!,
      scale: variant === 'released' ? scale! * classes : scale!,
    }
    return {
      loss: (tape, logits, target) =>
        squaredErrorLoss(tape, { logits }, { ...target, ...parameters }),
    }
  },
}
