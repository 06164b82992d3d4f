import { type KernelTime, profileProgram } from '../gpu/deviceTime.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { Pacer } from '../gpu/pacer.ts'
import type { Program } from '../gpu/program.ts'
import type { Storage } from '../gpu/storage.ts'
import { BenchStep, type ModelBenchOptions } from './benchStep.ts'
import { median } from './samples.ts'

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
