import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'
import type { Objective } from '../losses/objective.ts'
import type { ResNet } from '../nn/resnet.ts'
import type { Sgd } from '../optim/sgd.ts'

/** Losses kept on the device between two readings. */
const LOSS_HISTORY = 4096

/** What the host writes to and reads from a recorded step. */
interface StepArrays {
  readonly images: GpuArray<'f32'>
  readonly labels: GpuArray<'u32'>
  readonly rate: GpuArray<'f32'>
  readonly history: GpuArray<'f32'>
  readonly cursor: GpuArray<'u32'>
}

function release(arrays: StepArrays): void {
  for (const array of Object.values(arrays)) (array as GpuArray).release()
}

/**
 * One training step, recorded once and replayed: forward, backward, optimiser.
 *
 * The host writes the batch and the learning rate; the losses stay on the device until they are
 * asked for.
 */
export class TrainStep {
  #taken = 0

  private constructor(
    private readonly gpu: Gpu,
    private readonly program: Program,
    private readonly arrays: StepArrays,
  ) {}

  /**
   * Records the step and compiles what it needs.
   *
   * @param shape of a batch, [N, H, W, 3]
   */
  static async record(
    gpu: Gpu,
    model: ResNet,
    objective: Objective,
    optimiser: Sgd,
    shape: readonly [number, number, number, number],
  ): Promise<TrainStep> {
    const arrays: StepArrays = {
      images: gpu.empty('f32', shape, 'images'),
      labels: gpu.empty('u32', [shape[0]], 'labels'),
      rate: gpu.empty('f32', [1], 'learning rate'),
      history: gpu.zeros('f32', [LOSS_HISTORY], 'losses'),
      cursor: gpu.zeros('u32', [1], 'loss cursor'),
    }
    const { images, labels, rate, history, cursor } = arrays
    try {
      const { program } = await gpu.record(() => {
        const tape = new Tape(gpu)
        const logits = model.forward(tape, new Tensor(images), { training: true })
        const loss = objective.loss(tape, logits, { labels })
        gpu.dispatch(kernels.loss_log, {
          buffers: { loss: loss.value, cursor, history },
          params: { capacity: LOSS_HISTORY },
          workgroups: [1, 1, 1],
        })
        tape.backward(loss)
        optimiser.step(rate)
      })
      return new TrainStep(gpu, program, arrays)
    } catch (error) {
      release(arrays)
      throw error
    }
  }

  /** Dispatches of one step. */
  get dispatches(): number {
    return this.program.dispatches
  }

  /** Submits one step. @param images f32 [N, H, W, 3] @param labels u32 [N] */
  run(images: Float32Array, labels: Uint32Array, learningRate: number): void {
    if (this.#taken === LOSS_HISTORY)
      throw new Error(`read the losses at least every ${LOSS_HISTORY} steps`)
    this.gpu.write(this.arrays.images, images)
    this.gpu.write(this.arrays.labels, labels)
    this.gpu.write(this.arrays.rate, Float32Array.of(learningRate))
    this.program.run()
    this.#taken++
  }

  /** The losses of the steps since the last call, in order; waits for them. */
  async losses(): Promise<Float32Array> {
    const { history, cursor } = this.arrays
    const losses = (await this.gpu.read(history)).subarray(0, this.#taken)
    this.gpu.write(cursor, Uint32Array.of(0))
    this.#taken = 0
    return losses
  }

  dispose(): void {
    this.program.dispose()
    release(this.arrays)
  }
}
