import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import { GpuOutOfMemoryError } from '../gpu/errors.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'
import type { Objective } from '../losses/objective.ts'
import { checkLabels, describeFlags, type Targets } from '../losses/targets.ts'
import type { ParameterSet } from '../nn/parameters.ts'
import type { ResNet } from '../nn/resnet.ts'
import { updateAverages } from '../optim/ema.ts'
import type { Sgd } from '../optim/sgd.ts'

/** Losses kept on the device between two readings. */
const LOSS_HISTORY = 4096

/** What the host writes to and reads from a recorded step. */
interface StepArrays {
  readonly images: GpuArray<'f32'>
  readonly target: Targets
  readonly rate: GpuArray<'f32'>
  /** Weight of the new value in the averages. */
  readonly averageWeight: GpuArray<'f32'>
  /** The step's number and the place of its first example in the batch, for random draws. */
  readonly draw: GpuArray<'u32'>
  readonly status: GpuArray<'u32'>
  /** Bits of the loss and flags of each micro-batch. */
  readonly history: GpuArray<'u32'>
  readonly cursor: GpuArray<'u32'>
}

function release({ target, ...arrays }: StepArrays): void {
  for (const array of [...Object.values(arrays), target.labels ?? target.targets]) array.release()
}

export interface TrainStepOptions {
  /** Seed of what the objective draws. Default 0. */
  readonly seed?: number
  /** Steps that were taken before the first of this recording. Default 0. */
  readonly firstStep?: number
  /** Micro-batches whose gradients are averaged to a step's. Default 1. */
  readonly microBatches?: number
  /** Averages of the model's parameters and buffers, updated after each step. Default: none. */
  readonly averages?: ParameterSet
  /** What the loss is multiplied by before it is differentiated; the log is without it. Default 1. */
  readonly lossScale?: number
  /** Whether targets are distributions [N, K] instead of labels [N]. Default false. */
  readonly softTargets?: boolean
}

/** What the host gives for one step. */
export interface StepRates {
  readonly rate: number
  /** Weight of the new value in the averages. Default 0. */
  readonly averageWeight?: number
}

/**
 * One training step, recorded once and replayed: forward, backward, optimiser, averages. With several
 * micro-batches forward and backward are one recording, which adds up gradients, and the rest is
 * another.
 *
 * The host writes the batch, the learning rate and the step's number; the losses stay on the device
 * until they are asked for.
 */
export class TrainStep {
  /** Steps whose losses were read or lie before this recording, and micro-batches since. */
  #read: number
  #taken = 0

  private constructor(
    private readonly gpu: Gpu,
    private readonly program: Program,
    /** The second half of a step of several micro-batches. */
    private readonly update: Program | undefined,
    private readonly arrays: StepArrays,
    private readonly objective: Objective,
    private readonly microBatches: number,
    firstStep: number,
  ) {
    this.#read = firstStep
  }

  /**
   * Records the step and compiles what it needs.
   *
   * @param shape of a micro-batch, [N, H, W, 3]
   * @throws GpuOutOfMemoryError saying what to do about it
   */
  static async record(
    gpu: Gpu,
    model: ResNet,
    objective: Objective,
    optimiser: Sgd,
    shape: readonly [number, number, number, number],
    options: TrainStepOptions = {},
  ): Promise<TrainStep> {
    const { microBatches = 1, averages, softTargets = false, firstStep = 0 } = options
    const [examples] = shape
    const arrays: StepArrays = {
      images: gpu.empty('f32', shape, 'images'),
      target: softTargets
        ? { targets: gpu.empty('f32', [examples, objective.classes], 'targets') }
        : { labels: gpu.empty('u32', [examples], 'labels') },
      rate: gpu.empty('f32', [1], 'learning rate'),
      averageWeight: gpu.zeros('f32', [1], 'weight of the average'),
      draw: gpu.zeros('u32', [2], 'draw'),
      status: gpu.zeros('u32', [1], 'status'),
      history: gpu.zeros('u32', [LOSS_HISTORY, 2], 'losses'),
      cursor: gpu.zeros('u32', [1], 'loss cursor'),
    }
    const programs: Program[] = []
    const differentiate = () => recordGradients(gpu, model, objective, arrays, options)
    const update = () => {
      optimiser.step(arrays.rate)
      if (averages) updateAverages(gpu, averagePairs(averages, model), arrays.averageWeight)
      if (microBatches > 1) optimiser.clearGradients()
    }
    const parts =
      microBatches > 1
        ? [differentiate, update]
        : [
            () => {
              differentiate()
              update()
            },
          ]
    try {
      for (const part of parts) programs.push((await gpu.record(part)).program)
      const [program, second] = programs
      return new TrainStep(gpu, program!, second, arrays, objective, microBatches, firstStep)
    } catch (error) {
      for (const program of programs) program.dispose()
      release(arrays)
      if (!(error instanceof GpuOutOfMemoryError)) throw error
      throw new GpuOutOfMemoryError(
        `a micro-batch of ${examples} images of ${shape[1]} x ${shape[2]} is too large: ${error.message}; a smaller microBatch goes through in parts`,
      )
    }
  }

  /** Dispatches of one step, or of one micro-batch where there are several. */
  get dispatches(): number {
    return this.program.dispatches
  }

  /** [N, H, W, 3]: where the images of the next micro-batch belong. */
  get images(): GpuArray<'f32'> {
    return this.arrays.images
  }

  /**
   * Submits one micro-batch, whose images were written to `images`; the last one of a step updates
   * the weights.
   *
   * @param part number of the micro-batch in its step, from 0
   * @param targets u32 [N] labels, or f32 [N, K] distributions where these were asked for
   * @throws Error naming a label that is not below the number of classes
   */
  take(part: number, targets: Uint32Array | Float32Array, rates: StepRates): void {
    if (this.#taken === LOSS_HISTORY)
      throw new Error(`read the losses at least every ${LOSS_HISTORY} micro-batches`)
    const { gpu, arrays, objective, microBatches } = this
    const { labels, targets: soft } = arrays.target
    if (labels) {
      checkLabels(objective.name, targets, objective.classes)
      gpu.write(labels, targets as Uint32Array)
    } else gpu.write(soft, targets as Float32Array)
    const step = this.#read + Math.floor(this.#taken / microBatches)
    gpu.write(arrays.draw, Uint32Array.of(step, part * arrays.images.shape[0]!))
    gpu.write(arrays.rate, Float32Array.of(rates.rate))
    gpu.write(arrays.averageWeight, Float32Array.of(rates.averageWeight ?? 0))
    this.program.run()
    if (part + 1 === microBatches) this.update?.run()
    this.#taken++
  }

  /**
   * Submits one step of one micro-batch. @param images f32 [N, H, W, 3] @param labels u32 [N]
   *
   * @throws Error naming a label that is not below the number of classes
   */
  run(images: Float32Array, labels: Uint32Array | Float32Array, learningRate: number): void {
    this.gpu.write(this.arrays.images, images)
    this.take(0, labels, { rate: learningRate })
  }

  /**
   * The losses of the steps since the last call, in order, each the mean over its micro-batches;
   * waits for them.
   *
   * @throws Error naming the objective and the first step with a logit that is not finite
   */
  async losses(): Promise<Float32Array> {
    const { gpu, arrays, objective, microBatches } = this
    const bits = (await gpu.read(arrays.history)).subarray(0, 2 * this.#taken)
    const flags = bits.filter((_, i) => i % 2 === 1)
    const at = flags.findIndex(Boolean)
    if (at >= 0)
      throw new Error(
        `${objective.name}: in step ${this.#read + Math.floor(at / microBatches) + 1} ${describeFlags(flags[at]!)}; a lower lr may help`,
      )
    const each = new Float32Array(bits.filter((_, i) => i % 2 === 0).buffer)
    const losses = Float32Array.from({ length: this.#taken / microBatches }, (_, step) =>
      mean(each.subarray(step * microBatches, (step + 1) * microBatches)),
    )
    gpu.write(arrays.cursor, Uint32Array.of(0))
    this.#read += losses.length
    this.#taken = 0
    return losses
  }

  dispose(): void {
    this.program.dispose()
    this.update?.dispose()
    release(this.arrays)
  }
}

function mean(values: Float32Array): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}

function recordGradients(
  gpu: Gpu,
  model: ResNet,
  objective: Objective,
  { images, target, draw, status, history, cursor }: StepArrays,
  { seed = 0, microBatches = 1, lossScale = 1 }: TrainStepOptions,
): void {
  const tape = new Tape(gpu)
  const loss = objective.lossOfFeatures(tape, {
    features: model.penultimate(tape, new Tensor(images), { training: true }),
    layer: model.lastLayer,
    target,
    draw: { seed, draw },
    outputs: { status },
  })
  gpu.dispatch(kernels.loss_log, {
    buffers: { loss: loss.value, status, cursor, history },
    params: { capacity: LOSS_HISTORY },
    workgroups: [1, 1, 1],
  })
  const accumulate = microBatches > 1
  const reached = tape.backward(loss, { factor: lossScale / microBatches, accumulate })
  // A parameter that the loss does not depend on has the gradient 0, not that of another loss.
  for (const { value } of model.parameters.parameters)
    if (!accumulate && !reached.has(value)) gpu.clear(value.gradient!)
}

/** What `updateAverages` takes: the averages of a model's parameters and buffers, and these. */
export function averagePairs(averages: ParameterSet, { parameters }: ResNet) {
  return [
    ...averages.groups.map(({ values }, i) => ({
      average: values,
      x: parameters.groups[i]!.values,
    })),
    { average: averages.bufferValues, x: parameters.bufferValues },
  ]
}
