import type { OpRun } from '../autograd/opRun.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Targets } from './targets.ts'

/**
 * The arrays that a fused loss kernel binds: one loss an example, the gradient of the mean loss, and
 * stand-ins for whichever of labels and targets it does not read.
 */
export function lossBuffers(run: OpRun<'logits'>, logits: GpuArray<'f32'>, target: Targets) {
  return {
    logits,
    labels: target.labels ?? run.temporary('u32', [1]),
    targets: target.targets ?? logits,
    losses: run.temporary('f32', [logits.shape[0]!]),
    dlogits: run.temporary('f32', logits.shape),
  }
}

/** The mean of one loss an example, as a scalar [1]. */
export function meanLoss(gpu: Gpu, losses: GpuArray<'f32'>): GpuArray<'f32'> {
  const mean = gpu.empty('f32', [1], 'loss')
  gpu.dispatch(kernels.loss_mean, {
    constants: { LANES: gpu.profile.lanes },
    buffers: { x: losses, y: mean },
    params: { length: losses.length },
    workgroups: [1, 1, 1],
  })
  return mean
}

/** dx = dloss * g: passes the gradient of a scalar loss on to what it was computed from. */
export function scaleGradient(
  gpu: Gpu,
  g: GpuArray<'f32'>,
  dloss: GpuArray<'f32'>,
  dx: GpuArray<'f32'>,
): void {
  gpu.dispatch(kernels.loss_scale_gradient, {
    ...elementwiseCall(gpu, dx, {}),
    buffers: { g, dloss, dx },
  })
}
