import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import { hardCase, softCase } from './gradientCases.ts'
import type { ObjectiveDefinition } from './objective.ts'
import { lossBuffers, meanLoss, scaleGradient } from './perExample.ts'
import { checkTargets, type Targets } from './targets.ts'

/**
 * Softmax cross-entropy (eq. 1), the mean over the batch of -sum_k t_k log softmax(z)_k.
 *
 * logits [N, K]; labels [N] below K, or targets [N, K]. Returns a scalar [1].
 */
export const softmaxCrossEntropy = defineOp<{ logits: Tensor }, Targets>()({
  name: 'softmaxCrossEntropy',
  gradientCases: [
    hardCase(3, 5, {}),
    hardCase(41, 10, {}),
    softCase(7, 3, {}),
    hardCase(1, 47, {}),
  ],
  forward(run, { logits }, target) {
    const { gpu } = run
    const { examples, classes } = checkTargets('softmaxCrossEntropy', logits.shape, target)
    const buffers = lossBuffers(run, logits, target)
    gpu.dispatch(kernels.loss_softmax_cross_entropy, {
      constants: { LANES: gpu.profile.lanes },
      conditions: { SOFT: !!target.targets },
      buffers,
      params: { examples, classes },
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

/** Softmax: the paper's baseline (eq. 1). */
export const softmax: ObjectiveDefinition = {
  name: 'softmax',
  label: 'Softmax',
  hyperparameters: {},
  loss: (tape, logits, target) => softmaxCrossEntropy(tape, { logits }, target),
}
