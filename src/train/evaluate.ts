import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import { evaluationBatches, gatherLabels } from '../data/batches.ts'
import type { Dataset, ImageSplit } from '../data/dataset.ts'
import { ImagePreparer } from '../data/prepareImages.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { Pacer } from '../gpu/pacer.ts'
import type { Program } from '../gpu/program.ts'
import type { ResNet } from '../nn/resnet.ts'
import { countCorrect } from './top1.ts'

/** Divides the embedded test split, so that one recording serves all its batches. */
export const EVALUATION_BATCH = 250

/** What a pass over a split shows of each batch, all on the device. */
export interface EvaluationBatch {
  /** [N, H, W, 3], prepared for the network. */
  readonly images: Tensor
  /** [N]. */
  readonly labels: GpuArray<'u32'>
}

/**
 * Runs `body` on every batch of a split. It is recorded once for each batch size and replayed, so
 * it may only record device work.
 *
 * @param onBatch told of the examples done so far
 */
export async function forEachBatch(
  gpu: Gpu,
  dataset: Dataset,
  split: ImageSplit,
  batchSize: number,
  body: (tape: Tape, batch: EvaluationBatch) => void,
  onBatch: (done: number) => void = () => {},
): Promise<void> {
  const preparer = new ImagePreparer(dataset)
  const { height, width, channels } = preparer
  const programs = new Map<
    number,
    { program: Program; images: GpuArray<'f32'>; labels: GpuArray<'u32'> }
  >()
  const pacer = new Pacer(gpu)
  let done = 0
  for (const indexes of evaluationBatches(split.count, batchSize)) {
    const n = indexes.length
    let recorded = programs.get(n)
    if (!recorded) {
      const images = gpu.empty('f32', [n, height, width, channels], 'images')
      const labels = gpu.empty('u32', [n], 'labels')
      const { program } = await gpu.record(() => {
        const tape = new Tape(gpu, false)
        body(tape, { images: new Tensor(images), labels })
        tape.dispose()
      })
      recorded = { program, images, labels }
      programs.set(n, recorded)
    }
    const { program, images, labels } = recorded
    await pacer.submit(() => {
      gpu.write(images, preparer.prepare(split.images, indexes))
      gpu.write(labels, gatherLabels(split.labels, indexes))
      program.run()
    })
    done += n
    onBatch(done)
  }
  await pacer.finish()
  for (const { program, images, labels } of programs.values()) {
    program.dispose()
    images.release()
    labels.release()
  }
}

/** Share of a split whose highest logit is its label's, 0..1. */
export async function top1(
  gpu: Gpu,
  model: ResNet,
  dataset: Dataset,
  split: ImageSplit,
  onBatch: (done: number) => void = () => {},
): Promise<number> {
  const correct = gpu.zeros('u32', [1], 'correct')
  await gpu.flush()
  const body = (tape: Tape, { images, labels }: EvaluationBatch) => {
    const logits = model.forward(tape, images, { training: false })
    countCorrect(gpu, logits.value, labels, correct)
  }
  await forEachBatch(gpu, dataset, split, EVALUATION_BATCH, body, onBatch)
  const [count] = await gpu.read(correct)
  correct.release()
  return count! / split.count
}
