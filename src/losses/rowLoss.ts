import type { BackwardRun, OpRun } from '../autograd/opRun.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { LossOutputs, Targets } from './targets.ts'

/** How the kernels that walk rows (shaders/lib/row_lanes.wesl) share `rows` rows of `items` items. */
export function rowCall(gpu: Gpu, rows: number, items: number) {
  const { lanes, software, subgroups8, targetWorkgroups } = gpu.profile
  // Barriers are dear on a software driver: one lane a row as soon as the rows keep two cores busy.
  const busy = software ? 2 * lanes : lanes * targetWorkgroups
  let rowLanes = 1
  while (rowLanes < lanes && rowLanes < items && rows * rowLanes < busy) rowLanes *= 2
  const tiles = Math.ceil(rows / (lanes / rowLanes))
  return {
    constants: { LANES: lanes, ROW_LANES: rowLanes },
    conditions: { ACROSS: rowLanes > 1, SUBGROUPS8: rowLanes > 1 && subgroups8 },
    workgroups: [Math.min(tiles, targetWorkgroups), 1, 1],
  } as const
}

/** The launch of a fused loss kernel over logits [N, K] (shaders/lib/loss_rows.wesl). */
export function lossCall(
  run: OpRun<'logits'>,
  logits: GpuArray<'f32'>,
  target: Targets & LossOutputs,
) {
  const { gpu } = run
  const [examples, classes] = logits.shape as [number, number]
  const { constants, conditions, workgroups } = rowCall(gpu, examples, Math.ceil(classes / 4))
  return {
    constants,
    conditions: { ...conditions, VEC4: classes % 4 === 0, SOFT: !!target.targets },
    workgroups,
    buffers: {
      logits,
      // Stand-ins for whichever of labels and targets the kernel does not read.
      labels: target.labels ?? run.temporary('u32', [1]),
      targets: target.targets ?? logits,
      losses: target.perExample ?? run.temporary('f32', [examples]),
      dlogits: run.temporary('f32', logits.shape),
      status: target.status ?? run.temporary('u32', [1]),
    },
    params: { examples, classes, weight: 1 / examples },
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

/** The gradient that a forward pass left in `dlogits`, times that of the loss, in place; as it is for 1. */
export function lossGradient(
  { gpu }: BackwardRun<'logits'>,
  dloss: GpuArray<'f32'>,
  dlogits: GpuArray<'f32'>,
): { logits: GpuArray<'f32'> } {
  if (!gpu.isConstant(dloss, 1))
    gpu.dispatch(kernels.loss_scale_in_place, {
      ...elementwiseCall(gpu, dlogits, {}),
      buffers: { dloss, g: dlogits },
    })
  return { logits: dlogits.retain() }
}
