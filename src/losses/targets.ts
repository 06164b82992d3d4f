import type { GpuArray } from '../gpu/gpuArray.ts'

/** What a batch should be classified as: a class index or a distribution for each example. */
export type Targets =
  | { readonly labels: GpuArray<'u32'>; readonly targets?: undefined }
  | { readonly targets: GpuArray<'f32'>; readonly labels?: undefined }

/**
 * Sizes of logits [N, K], checked against their targets: labels [N] below K or targets [N, K].
 *
 * @throws Error naming the loss and the argument that does not fit
 */
export function checkTargets(
  loss: string,
  logits: readonly number[],
  { labels, targets }: Targets,
): { examples: number; classes: number } {
  const [examples, classes] = logits
  if (logits.length !== 2 || !examples || !classes)
    throw new Error(`${loss}: logits are [${logits}], expected [N, K]`)
  if (labels && (labels.shape.length !== 1 || labels.shape[0] !== examples))
    throw new Error(`${loss}: labels are [${labels.shape}], expected [${examples}]`)
  if (targets && `${targets.shape}` !== `${logits}`)
    throw new Error(`${loss}: targets are [${targets.shape}], expected [${logits}]`)
  return { examples, classes }
}
