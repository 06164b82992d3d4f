import type { AnyOp, OpRun, Saved } from '../autograd/opRun.ts'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'
import type { Storage } from '../gpu/storage.ts'
import { instantiate } from '../losses/objective.ts'
import { objectiveNamed } from '../losses/registry.ts'
import type { ParameterSet } from '../nn/parameters.ts'
import { type Architecture, ResNet } from '../nn/resnet.ts'
import { updateAverages } from '../optim/ema.ts'
import { Sgd } from '../optim/sgd.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import { averagePairs } from '../train/trainStep.ts'

export interface ModelBenchOptions {
  readonly arch: Architecture
  readonly batch: number
  /** Height and width of an image in pixels. */
  readonly size: number
  /** Factor of all channel counts. */
  readonly width: number
  readonly classes: number
  /** Whether the step averages weights and batch-norm buffers too, as `train` does. */
  readonly averages?: boolean
  /** Samples of which medians are taken. */
  readonly runs: number
  /** Told of the samples that are done. */
  readonly onProgress?: (done: number, total: number, next: string) => void
}

/** A tape that notes what ops save. */
class SavingTape extends Tape {
  readonly saved = new Set<Storage>()

  override apply(
    op: AnyOp,
    inputs: Readonly<Record<string, Tensor>>,
    attributes: unknown,
    forward: (run: OpRun<string>) => { output: GpuArray<'f32'>; saved: Saved },
  ): Tensor {
    return super.apply(op, inputs, attributes, (run) => {
      const result = forward(run)
      if (Object.values(run.needs).some(Boolean))
        for (const array of Object.values(result.saved)) if (array) this.saved.add(array.storage)
      return result
    })
  }
}

/** A recorded step of SGD with Nesterov momentum on softmax cross-entropy, with random images. */
export class BenchStep {
  private constructor(
    private readonly gpu: Gpu,
    readonly model: ResNet,
    readonly optimiser: Sgd,
    readonly program: Program,
    /** Storages that the backward pass needs. */
    readonly saved: ReadonlySet<Storage>,
    /** [1], of the latest step. */
    readonly loss: GpuArray<'f32'>,
    readonly averages: ParameterSet | undefined,
    private readonly arrays: {
      readonly images: GpuArray<'f32'>
      readonly labels: GpuArray<'u32'>
      readonly rate: GpuArray<'f32'>
      readonly averageWeight: GpuArray<'f32'>
    },
    private readonly host: { readonly images: Float32Array; readonly labels: Uint32Array },
  ) {}

  static async record(gpu: Gpu, options: ModelBenchOptions): Promise<BenchStep> {
    const { arch, batch, size, width, classes } = options
    const objective = instantiate(objectiveNamed('softmax'), classes)
    const model = new ResNet({ arch, classes, width, head: objective })
    model.parameters.allocate(gpu, 0)
    const optimiser = new Sgd(gpu, model.parameters.groups, {
      momentum: 0.9,
      nesterov: true,
      weightDecay: 8e-5,
    })
    const draws = new RandomStream(0, streams.init)
    const host = {
      images: Float32Array.from({ length: batch * size * size * 3 }, (_, i) => draws.uniform(i)),
      labels: Uint32Array.from({ length: batch }, (_, i) => i % classes),
    }
    const arrays = {
      images: gpu.empty('f32', [batch, size, size, 3], 'images'),
      labels: gpu.empty('u32', [batch], 'labels'),
      rate: gpu.empty('f32', [1], 'learning rate'),
      averageWeight: gpu.upload('f32', [1], Float32Array.of(1e-4), 'weight of the average'),
    }
    const averages = options.averages ? model.withoutMemory().parameters : undefined
    averages?.allocateCopy(gpu, model.parameters)
    const { images, labels, rate, averageWeight } = arrays
    const { program, result } = await gpu.record(() => {
      const tape = new SavingTape(gpu)
      const features = model.penultimate(tape, new Tensor(images), { training: true })
      const layer = model.lastLayer
      const loss = objective.lossOfFeatures(tape, { features, layer, target: { labels } })
      const { value } = tape.keep(loss)
      tape.backward(loss)
      optimiser.step(rate)
      if (averages) updateAverages(gpu, averagePairs(averages, model), averageWeight)
      return { saved: tape.saved, loss: value }
    })
    const { saved, loss } = result
    return new BenchStep(gpu, model, optimiser, program, saved, loss, averages, arrays, host)
  }

  /** Submits one step. */
  run(): void {
    const { gpu, arrays, host } = this
    gpu.write(arrays.images, host.images)
    gpu.write(arrays.labels, host.labels)
    gpu.write(arrays.rate, Float32Array.of(1e-3))
    this.program.run()
  }

  release(): void {
    this.program.dispose()
    this.optimiser.release()
    this.model.parameters.release()
    this.averages?.release()
    for (const array of Object.values(this.arrays)) array.release()
  }
}
