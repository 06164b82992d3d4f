import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import { hardCase, softCase } from './gradientCases.ts'
import type { ObjectiveDefinition } from './objective.ts'
import { lossBuffers, meanLoss, scaleGradient } from './perExample.ts'
import { checkTargets, type Targets } from './targets.ts'

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
 */
export const squaredErrorLoss = defineOp<{ logits: Tensor }, Targets & SquaredErrorParameters>()({
  name: 'squaredError',
  gradientCases: [
    hardCase(3, 5, { kappa: 9, m: 60, scale: 0.1 }),
    hardCase(41, 10, { kappa: 9, m: 60, scale: 0.1 }),
    softCase(7, 3, { kappa: 4, m: 2, scale: 10 }),
    hardCase(1, 47, { kappa: 9, m: 60, scale: 0.47 }),
  ],
  forward(run, { logits }, attributes) {
    const { gpu } = run
    const { kappa, m, scale } = attributes
    const { examples, classes } = checkTargets('squaredError', logits.shape, attributes)
    const buffers = lossBuffers(run, logits, attributes)
    gpu.dispatch(kernels.loss_squared_error, {
      constants: { LANES: gpu.profile.lanes },
      conditions: { SOFT: !!attributes.targets },
      buffers,
      params: { examples, classes, kappa, m, scale },
      workgroups: [Math.ceil(examples / gpu.profile.lanes), 1, 1],
    })
    return { output: meanLoss(gpu, buffers.losses), saved: { dlogits: buffers.dlogits } }
  },
  backward(run, dloss, { dlogits }) {
    const dx = run.gradientOf('logits')
    scaleGradient(run.gpu, dlogits, dloss, dx)
    return { logits: dx }
  },
})

const positive = (value: number) => (value > 0 ? undefined : 'a number above 0')

/**
 * Squared error (eq. 9). The paper's loss scale of 10 was tuned at 1,000 classes; since the 1/K of
 * eq. 9 makes the loss 1000/K times larger at K classes, the default scale is 10 * K / 1000.
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
      default: (classes) => (10 * classes) / 1000,
      meaning: 'factor of the whole loss',
      refuse: positive,
    },
  },
  loss: (tape, logits, target, { kappa, m, scale }) =>
    squaredErrorLoss(tape, { logits }, { ...target, kappa: kappa!, m: m!, scale: scale! }),
}
