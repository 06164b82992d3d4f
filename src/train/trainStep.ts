import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'
import type { Objective } from '../losses/objective.ts'
import { checkLabels, describeFlags } from '../losses/targets.ts'
import type { ResNet } from '../nn/resnet.ts'
import type { Sgd } from '../optim/sgd.ts'

/** Losses kept on the device between two readings. */
const LOSS_HISTORY = 4096

/** What the host writes to and reads from a recorded step. */
interface StepArrays {
  readonly images: GpuArray<'f32'>
  readonly labels: GpuArray<'u32'>
  readonly rate: GpuArray<'f32'>
  /** The step's number and the place of its first example in the batch, for random draws. */
  readonly draw: GpuArray<'u32'>
  readonly status: GpuArray<'u32'>
  /** Bits of the loss and flags of each step. */
  readonly history: GpuArray<'u32'>
  readonly cursor: GpuArray<'u32'>
}

function release(arrays: StepArrays): void {
  for (const array of Object.values(arrays)) (array as GpuArray).release()
}

export interface TrainStepOptions {
  /** Seed of what the objective draws. Default 0. */
  readonly seed?: number
  /** Steps that were taken before the first of this recording. Default 0. */
  readonly firstStep?: number
}

/**
 * One training step, recorded once and replayed: forward, backward, optimiser.
 *
 * The host writes the batch, the learning rate and the step's number; the losses stay on the device
 * until they are asked for.
 */
export class TrainStep {
  /** Steps whose losses were read or lie before this recording, and steps since. */
  #read: number
  #taken = 0

  private constructor(
    private readonly gpu: Gpu,
    private readonly program: Program,
    private readonly arrays: StepArrays,
    private readonly objective: Objective,
    firstStep: number,
  ) {
    this.#read = firstStep
  }

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
    { seed = 0, firstStep = 0 }: TrainStepOptions = {},
  ): Promise<TrainStep> {
    const arrays: StepArrays = {
      images: gpu.empty('f32', shape, 'images'),
      labels: gpu.empty('u32', [shape[0]], 'labels'),
      rate: gpu.empty('f32', [1], 'learning rate'),
      draw: gpu.zeros('u32', [2], 'draw'),
      status: gpu.zeros('u32', [1], 'status'),
      history: gpu.zeros('u32', [LOSS_HISTORY, 2], 'losses'),
      cursor: gpu.zeros('u32', [1], 'loss cursor'),
    }
    const { images, labels, rate, draw, status, history, cursor } = arrays
    try {
      const { program } = await gpu.record(() => {
        const tape = new Tape(gpu)
        const loss = objective.lossOfFeatures(tape, {
          features: model.penultimate(tape, new Tensor(images), { training: true }),
          layer: model.lastLayer,
          target: { labels },
          draw: { seed, draw },
          outputs: { status },
        })
        gpu.dispatch(kernels.loss_log, {
          buffers: { loss: loss.value, status, cursor, history },
          params: { capacity: LOSS_HISTORY },
          workgroups: [1, 1, 1],
        })
        tape.backward(loss)
        optimiser.step(rate)
      })
      return new TrainStep(gpu, program, arrays, objective, firstStep)
    } catch (error) {
      release(arrays)
      throw error
    }
  }

  /** Dispatches of one step. */
  get dispatches(): number {
    return this.program.dispatches
  }

  /**
   * Submits one step. @param images f32 [N, H, W, 3] @param labels u32 [N]
   *
   * @throws Error naming a label that is not below the number of classes
   */
  run(images: Float32Array, labels: Uint32Array, learningRate: number): void {
    if (this.#taken === LOSS_HISTORY)
      throw new Error(`read the losses at least every ${LOSS_HISTORY} steps`)
    const { gpu, arrays, objective } = this
    checkLabels(objective.name, labels, objective.classes)
    gpu.write(arrays.images, images)
    gpu.write(arrays.labels, labels)
    gpu.write(arrays.rate, Float32Array.of(learningRate))
    gpu.write(arrays.draw, Uint32Array.of(this.#read + this.#taken, 0))
    this.program.run()
    this.#taken++
  }

  /**
   * The losses of the steps since the last call, in order; waits for them.
   *
   * @throws Error naming the objective and the first step with a logit that is not finite
   */
  async losses(): Promise<Float32Array> {
    const { gpu, arrays, objective } = this
    const history = (await gpu.read(arrays.history)).subarray(0, 2 * this.#taken)
    const flags = history.filter((_, i) => i % 2 === 1)
    const at = flags.findIndex(Boolean)
    if (at >= 0)
      throw new Error(
        `${objective.name}: in step ${this.#read + at + 1} ${describeFlags(flags[at]!)}; a lower lr may help`,
      )
    gpu.write(arrays.cursor, Uint32Array.of(0))
    this.#read += this.#taken
    this.#taken = 0
    return new Float32Array(history.filter((_, i) => i % 2 === 0).buffer)
  }

  dispose(): void {
    this.program.dispose()
    release(this.arrays)
  }
}
