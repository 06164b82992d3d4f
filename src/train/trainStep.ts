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
    private readonly images: GpuArray<'f32'>,
    private readonly labels: GpuArray<'u32'>,
    private readonly rate: GpuArray<'f32'>,
    private readonly history: GpuArray<'f32'>,
    private readonly cursor: GpuArray<'u32'>,
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
    const images = gpu.empty('f32', shape, 'images')
    const labels = gpu.empty('u32', [shape[0]], 'labels')
    const rate = gpu.empty('f32', [1], 'learning rate')
    const history = gpu.zeros('f32', [LOSS_HISTORY], 'losses')
    const cursor = gpu.zeros('u32', [1], 'loss cursor')
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
    return new TrainStep(gpu, program, images, labels, rate, history, cursor)
  }

  /** Dispatches of one step. */
  get dispatches(): number {
    return this.program.dispatches
  }

  /** Submits one step. @param images f32 [N, H, W, 3] @param labels u32 [N] */
  run(images: Float32Array, labels: Uint32Array, learningRate: number): void {
    if (this.#taken === LOSS_HISTORY)
      throw new Error(`read the losses at least every ${LOSS_HISTORY} steps`)
    this.gpu.write(this.images, images)
    this.gpu.write(this.labels, labels)
    this.gpu.write(this.rate, Float32Array.of(learningRate))
    this.program.run()
    this.#taken++
  }

  /** The losses of the steps since the last call, in order; waits for them. */
  async losses(): Promise<Float32Array> {
    const losses = (await this.gpu.read(this.history)).subarray(0, this.#taken)
    this.gpu.write(this.cursor, Uint32Array.of(0))
    this.#taken = 0
    return losses
  }

  dispose(): void {
    this.program.dispose()
    for (const array of [this.images, this.labels, this.rate, this.history, this.cursor])
      array.release()
  }
}
