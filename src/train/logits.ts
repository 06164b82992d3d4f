import type { Gpu } from '../gpu/gpu.ts'
import { type Objective, withoutBackground } from '../losses/objective.ts'
import type { ResNet } from '../nn/resnet.ts'
import { evaluationBatchSize, forEachInputBatch } from './evaluate.ts'
import type { ImageInput } from './input.ts'

/** What a network says of every example of an input. */
export interface CollectedLogits {
  /** [N, K], row by row. */
  readonly logits: Float32Array
  /** u32 [N]. */
  readonly labels: Uint32Array
}

/**
 * Logits of all examples in evaluation mode; files that give no image are left out.
 *
 * @param onBatch told of the examples done so far
 */
export async function collectLogits(
  gpu: Gpu,
  model: ResNet,
  input: ImageInput,
  onBatch: (done: number) => void = () => {},
): Promise<CollectedLogits> {
  const { classes } = model
  const logits = new Float32Array(input.count * classes)
  const labels = new Uint32Array(input.count)
  let seen = 0
  await forEachInputBatch(
    gpu,
    input,
    evaluationBatchSize(gpu, model, input),
    (tape, { images }) => tape.keep(model.forward(tape, images, { training: false })).value,
    async (values, batchLabels, done) => {
      logits.set(await gpu.read(values), seen * classes)
      labels.set(batchLabels, seen)
      seen = done
      onBatch(done)
    },
  )
  return { logits: logits.subarray(0, seen * classes), labels: labels.subarray(0, seen) }
}

/** What ranks: the logits of all classes, or of those after the background class, which count from 0 then. */
export function rankedClasses(
  { background, classes }: Pick<Objective, 'background' | 'classes'>,
  { logits, labels }: CollectedLogits,
): { readonly scores: Float32Array; readonly labels: Uint32Array; readonly classes: number } {
  if (!background) return { scores: logits, labels, classes }
  return {
    scores: withoutBackground(logits, classes),
    labels: labels.map((label) => label - 1),
    classes: classes - 1,
  }
}
