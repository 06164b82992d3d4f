import type { GpuArray } from '../gpu/gpuArray.ts'

/** What a batch should be classified as: a class index or a distribution for each example. */
export type Targets =
  | { readonly labels: GpuArray<'u32'>; readonly targets?: undefined }
  | { readonly targets: GpuArray<'f32'>; readonly labels?: undefined }

/** Where a loss leaves what it finds besides its mean. */
export interface LossOutputs {
  /** [N]: the loss of each example; NaN where its row raised a flag. */
  readonly perExample?: GpuArray<'f32'>
  /** [1]: bits that are set, never cleared; `describeFlags` says what each means. */
  readonly status?: GpuArray<'u32'>
}

/**
 * Sizes of logits [N, K], checked against their targets: labels [N] below K or targets [N, K].
 *
 * @throws Error naming the loss and the argument that does not fit
 */
export function checkTargets(
  loss: string,
  logits: readonly number[],
  { labels, targets, perExample, status }: Targets & LossOutputs,
): { examples: number; classes: number } {
  const [examples, classes] = logits
  if (logits.length !== 2 || !examples || !classes)
    throw new Error(`${loss}: logits are [${logits}], expected [N, K]`)
  if (labels && (labels.shape.length !== 1 || labels.shape[0] !== examples))
    throw new Error(`${loss}: labels are [${labels.shape}], expected [${examples}]`)
  if (targets && `${targets.shape}` !== `${logits}`)
    throw new Error(`${loss}: targets are [${targets.shape}], expected [${logits}]`)
  if (perExample && `${perExample.shape}` !== `${examples}`)
    throw new Error(`${loss}: perExample is [${perExample.shape}], expected [${examples}]`)
  if (status && status.length !== 1)
    throw new Error(`${loss}: status is [${status.shape}], expected [1]`)
  return { examples, classes }
}

/**
 * Checks labels before they go to the device.
 *
 * @throws Error naming the first label that is not below `classes`
 */
export function checkLabels(
  loss: string,
  labels: ArrayLike<number | bigint>,
  classes: number,
): void {
  for (let i = 0; i < labels.length; i++) {
    const label = Number(labels[i])
    if (!(Number.isInteger(label) && label >= 0 && label < classes))
      throw new Error(
        `${loss}: label ${i} is ${label}, expected an integer from 0 to ${classes - 1}`,
      )
  }
}

const FLAGS = [
  'a logit is not finite',
  'a label is not below the number of classes',
  'a loss is beyond float32',
  'the squared norm of the logits is beyond float32',
]

/** What the bits of a status mean, as a clause; undefined for 0. */
export function describeFlags(status: number): string | undefined {
  const raised = FLAGS.filter((_, bit) => status & (1 << bit))
  return raised.length > 0 ? raised.join(' and ') : undefined
}
