import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Dataset, ImageSplit } from '../data/dataset.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { Pacer } from '../gpu/pacer.ts'
import type { Program } from '../gpu/program.ts'
import type { ResNet } from '../nn/resnet.ts'
import { type ImageInput, MemoryInput } from './input.ts'
import { countCorrect } from './top1.ts'

/** Divides the embedded test split, so that one recording serves all its batches. */
const EVALUATION_BATCH = 250

/** What a pass over a split shows of each batch, all on the device. */
export interface EvaluationBatch {
  /** [N, H, W, 3], prepared for the network. */
  readonly images: Tensor
  /** [N]. */
  readonly labels: GpuArray<'u32'>
}

interface Recorded<T> {
  readonly program: Program
  readonly images: GpuArray<'f32'>
  readonly labels: GpuArray<'u32'>
  readonly result: T
}

/**
 * Runs `body` on every batch of an input. It is recorded once for each batch size and replayed, so
 * it may only record device work.
 *
 * @param body returns the arrays that `onBatch` wants to see
 * @param onBatch told after each batch of what the body returned, the labels, and the examples done
 *   so far; what it reads is that batch's
 */
export async function forEachInputBatch<T>(
  gpu: Gpu,
  input: ImageInput,
  batchSize: number,
  body: (tape: Tape, batch: EvaluationBatch) => T,
  onBatch: (result: T, labels: Uint32Array, done: number) => void | Promise<void> = () => {},
): Promise<void> {
  const recorded = new Map<number, Recorded<T>>()
  const pacer = new Pacer(gpu)
  let done = 0
  try {
    for await (const batch of input.evaluationBatches(batchSize)) {
      const n = batch.labels.length
      let own = recorded.get(n)
      if (!own) {
        own = await record(gpu, [n, ...input.shape], body)
        recorded.set(n, own)
      }
      const { program, images, labels, result } = own
      await batch.write(images)
      await pacer.submit(() => {
        gpu.write(labels, batch.labels)
        program.run()
      })
      done += n
      await onBatch(result, batch.labels, done)
    }
    await pacer.finish()
  } finally {
    for (const { program, images, labels } of recorded.values()) {
      program.dispose()
      images.release()
      labels.release()
    }
  }
}

async function record<T>(
  gpu: Gpu,
  shape: readonly [number, number, number, number],
  body: (tape: Tape, batch: EvaluationBatch) => T,
): Promise<Recorded<T>> {
  const images = gpu.empty('f32', shape, 'images')
  const labels = gpu.empty('u32', [shape[0]], 'labels')
  try {
    const { program, result } = await gpu.record(() => {
      const tape = new Tape(gpu, false)
      const found = body(tape, { images: new Tensor(images), labels })
      tape.dispose()
      return found
    })
    return { program, images, labels, result }
  } catch (error) {
    images.release()
    labels.release()
    throw error
  }
}

/** The most images that one evaluation pass of a network takes: no activation is cut into pieces. */
export function evaluationBatchSize(gpu: Gpu, model: ResNet, input: ImageInput): number {
  const [height, width] = input.shape
  const fits = Math.floor(gpu.largestBinding / 4 / model.largestActivation(height, width))
  return Math.max(1, Math.min(EVALUATION_BATCH, fits))
}

/** Share of an input whose highest logit, of the classes that rank, is its label's, 0..1. */
export async function accuracy(
  gpu: Gpu,
  model: ResNet,
  input: ImageInput,
  onBatch: (done: number) => void = () => {},
): Promise<number> {
  const correct = gpu.zeros('u32', [1], 'correct')
  await gpu.flush()
  let seen = 0
  const body = (tape: Tape, { images, labels }: EvaluationBatch) => {
    const logits = model.forward(tape, images, { training: false })
    countCorrect(gpu, logits.value, labels, correct, model.firstClass)
  }
  const size = evaluationBatchSize(gpu, model, input)
  await forEachInputBatch(gpu, input, size, body, (_, __, done) => {
    seen = done
    onBatch(done)
  })
  const [count] = await gpu.read(correct)
  correct.release()
  return count! / seen
}

/** Share of a split in memory whose highest logit is its label's, 0..1. */
export function top1(
  gpu: Gpu,
  model: ResNet,
  dataset: Dataset,
  split: ImageSplit,
  onBatch: (done: number) => void = () => {},
): Promise<number> {
  return accuracy(gpu, model, new MemoryInput(gpu, dataset, split), onBatch)
}
