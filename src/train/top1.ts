import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

/** correct[0] += examples whose highest logit from `firstClass` on (the first of equals) is their label's. */
export function countCorrect(
  gpu: Gpu,
  logits: GpuArray<'f32'>,
  labels: GpuArray<'u32'>,
  correct: GpuArray<'u32'>,
  firstClass: number,
): void {
  const [examples, classes] = logits.shape as [number, number]
  gpu.dispatch(kernels.metrics_top1, {
    constants: { LANES: gpu.profile.lanes },
    buffers: { logits, labels, correct },
    params: { examples, classes, firstClass },
    workgroups: [1, 1, 1],
  })
}
