import type { AnyOp, OpRun, Saved } from '../autograd/opRun.ts'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import { type KernelTime, profileProgram } from '../gpu/deviceTime.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { Pacer } from '../gpu/pacer.ts'
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
import { median } from './samples.ts'

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

/** Time of all dispatches of a kernel in one step. */
export interface KernelShare extends KernelTime {
  readonly dispatches: number
  /** Of the sum over all kernels, in [0, 1]. */
  readonly share: number
}

/** A training step, measured. */
export interface ModelBenchResult {
  readonly step: {
    /** Median time from one step's end to the next one's. */
    readonly ms: number
    readonly imagesPerSecond: number
    /** Median time that the host spends on a step: uploads, encoding, submission. */
    readonly hostMs: number
    readonly dispatches: number
    readonly submissions: number
    /** Bind groups, buffers and pipelines made in all timed steps together. */
    readonly bindGroupsCreated: number
    readonly buffersCreated: number
    readonly pipelinesCreated: number
  }
  /** Kernels by time, the longest first; undefined where the device has no timestamps. */
  readonly kernels: readonly KernelShare[] | undefined
  readonly memory: {
    /** Most bytes of GPU buffers at once. */
    readonly peakBytes: number
    /** Bytes that must live at the end of the forward pass: the five below. */
    readonly liveBytes: number
    readonly weightBytes: number
    readonly gradientBytes: number
    readonly momentumBytes: number
    /** Averages of weights and buffers, 0 without them. */
    readonly averageBytes: number
    /** What the forward pass keeps for the backward pass, the batch's images among it. */
    readonly savedBytes: number
    /** peakBytes / liveBytes. */
    readonly ratio: number
  }
}

/** Steps of one sample: one runs while the next is submitted, as in training. */
const STEPS_A_SAMPLE = 3
/** Milliseconds from which on a step is a sample by itself. */
const LONG_STEP = 1000

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

/**
 * Takes one training step of a model.
 *
 * @returns milliseconds from the start of the process to the step's end
 */
export async function firstStep(gpu: Gpu, options: ModelBenchOptions): Promise<number> {
  const step = await BenchStep.record(gpu, options)
  step.run()
  await gpu.submitted()
  const ms = performance.now()
  step.release()
  return ms
}

/** Measures training steps of a model: time, its split, objects made, memory. */
export async function benchModel(gpu: Gpu, options: ModelBenchOptions): Promise<ModelBenchResult> {
  const { runs, batch, onProgress = () => {} } = options
  const total = runs + 2
  onProgress(0, total, 'first steps')
  const step = await BenchStep.record(gpu, options)
  // The first run is cut finely to be timed, so that the second is the first of its kind.
  let once = 0
  for (let i = 0; i < 2; i++) {
    const start = performance.now()
    step.run()
    await gpu.submitted()
    once = performance.now() - start
  }
  const steps = once > LONG_STEP ? 1 : STEPS_A_SAMPLE
  const before = gpu.memory()
  const samples: number[] = []
  const host: number[] = []
  for (let run = 0; run < runs; run++) {
    onProgress(run + 1, total, 'steps')
    samples.push(await sample(gpu, step, steps, host))
  }
  const after = gpu.memory()
  onProgress(runs + 1, total, 'profile')
  const profile = await medianProfile(gpu, step.program, runs)
  const ms = median(samples)
  const { dispatches, submissions } = step.program
  const result = {
    step: {
      ms,
      imagesPerSecond: (1000 * batch) / ms,
      hostMs: median(host),
      dispatches,
      submissions,
      bindGroupsCreated: after.bindGroups - before.bindGroups,
      buffersCreated: after.created - before.created,
      pipelinesCreated: after.pipelines - before.pipelines,
    },
    kernels: profile && sharesOf(profile),
    memory: memoryOf(step, after.peak),
  }
  step.release()
  onProgress(total, total, '')
  return result
}

/** Milliseconds a step, over `steps` of them. */
async function sample(gpu: Gpu, step: BenchStep, steps: number, host: number[]): Promise<number> {
  const pacer = new Pacer(gpu)
  const start = performance.now()
  for (let i = 0; i < steps; i++)
    await pacer.submit(() => {
      const begin = performance.now()
      step.run()
      host.push(performance.now() - begin)
    })
  await pacer.finish()
  return (performance.now() - start) / steps
}

/** The median time of each dispatch: a busy machine stalls now one, now another. */
async function medianProfile(
  gpu: Gpu,
  program: Program,
  runs: number,
): Promise<KernelTime[] | undefined> {
  const profiles: KernelTime[][] = []
  for (let run = 0; run < runs; run++) {
    const profile = await profileProgram(gpu, program)
    if (!profile) return undefined
    profiles.push(profile)
  }
  return profiles[0]!.map(({ kernel }, i) => ({
    kernel,
    ms: median(profiles.map((profile) => profile[i]!.ms)),
  }))
}

function sharesOf(profile: readonly KernelTime[]): KernelShare[] {
  const total = profile.reduce((sum, { ms }) => sum + ms, 0)
  const kernels = new Map<string, { ms: number; dispatches: number }>()
  for (const { kernel, ms } of profile) {
    const entry = kernels.get(kernel) ?? { ms: 0, dispatches: 0 }
    kernels.set(kernel, { ms: entry.ms + ms, dispatches: entry.dispatches + 1 })
  }
  return [...kernels]
    .map(([kernel, { ms, dispatches }]) => ({ kernel, ms, dispatches, share: ms / total }))
    .sort((a, b) => b.ms - a.ms)
}

function memoryOf({ model, optimiser, averages, saved }: BenchStep, peakBytes: number) {
  const { groups } = model.parameters
  const sizeOf = (arrays: Iterable<Storage>) =>
    [...new Set(arrays)].reduce((sum, { size }) => sum + size, 0)
  const weights = groups.map(({ values }) => values.storage)
  const weightBytes = sizeOf(weights)
  const gradientBytes = sizeOf(groups.flatMap(({ gradients }) => gradients?.storage ?? []))
  const momentumBytes = sizeOf(optimiser.velocities.map(({ storage }) => storage))
  const averageBytes = sizeOf(
    averages
      ? [...averages.groups.map(({ values }) => values.storage), averages.bufferValues.storage]
      : [],
  )
  const savedBytes = sizeOf([...saved].filter((storage) => !weights.includes(storage)))
  const liveBytes = weightBytes + gradientBytes + momentumBytes + averageBytes + savedBytes
  return {
    peakBytes,
    liveBytes,
    weightBytes,
    gradientBytes,
    momentumBytes,
    averageBytes,
    savedBytes,
    ratio: peakBytes / liveBytes,
  }
}
