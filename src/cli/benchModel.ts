import { spawn } from 'node:child_process'
import process from 'node:process'
import type { ModelBenchOptions } from '../bench/benchStep.ts'
import { benchModel, firstStep, type ModelBenchResult } from '../bench/modelBench.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { Progress } from './progress.ts'

/** What only the command line knows of a model's benchmark. */
export interface ModelCommandOptions extends Omit<ModelBenchOptions, 'onProgress'> {
  readonly firstStep?: boolean
  /** False to leave the cold starts out. */
  readonly cold: boolean
  readonly unsafeFast?: boolean
  readonly json?: boolean
}

/** Seconds from a process's start to the end of its first training step. */
interface ColdStart {
  /** With the driver's cache of compiled shaders switched off. */
  readonly coldSeconds: number
  /** With the cache that this process has just filled. */
  readonly warmSeconds: number
}

/** Switches off the shader caches of Mesa and of NVIDIA's driver. */
const NO_DRIVER_CACHE = { MESA_SHADER_CACHE_DISABLE: 'true', __GL_SHADER_DISK_CACHE: '0' }

/** `gramgrad bench --model`. */
export async function runModel(options: ModelCommandOptions): Promise<void> {
  if (options.firstStep) return runFirstStep(options)
  const { arch, batch, size, width, classes } = options
  const progress = new Progress()
  const gpu = await openTunedGpu({
    unsafeFast: !!options.unsafeFast,
    onCompile: compileProgress(progress),
  })
  const { adapter, driver, backend, software } = gpu.profile
  let result: ModelBenchResult
  let coldStart: ColdStart | undefined
  try {
    const task = progress.task('Training steps', 1, 'samples')
    result = await benchModel(gpu, {
      ...options,
      onProgress: (done, total, next) => task.update(done, next || undefined, total),
    })
    gpu.close()
    if (options.cold) {
      const starts = progress.task('First steps of new processes', 2, 'processes')
      starts.update(0, 'driver cache full')
      const warmSeconds = await firstStepOfProcess(options, {})
      starts.update(1, 'driver cache off')
      coldStart = { coldSeconds: await firstStepOfProcess(options, NO_DRIVER_CACHE), warmSeconds }
      starts.update(2)
    }
  } finally {
    progress.stop()
    gpu.close()
  }
  const report = {
    device: { adapter, driver, backend, software },
    robustness: !options.unsafeFast,
    model: arch,
    batch,
    size,
    width,
    classes,
    ...result,
    ...(coldStart ? { coldStart } : {}),
  }
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : describe(report))
}

/** Takes one step and tells how long the process has lived. */
async function runFirstStep(options: ModelCommandOptions): Promise<void> {
  const progress = new Progress()
  const gpu = await openTunedGpu({
    unsafeFast: !!options.unsafeFast,
    onCompile: compileProgress(progress),
  })
  try {
    const seconds = (await firstStep(gpu, options)) / 1000
    progress.stop()
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ seconds })}\n`
        : `${seconds.toFixed(1)} s from the start of the process to the end of its first step\n`,
    )
  } finally {
    progress.stop()
    gpu.close()
  }
}

function compileProgress(progress: Progress): (done: number, total: number) => void {
  let task: ReturnType<Progress['task']> | undefined
  return (done, total) => {
    task ??= progress.task('Compiling kernels', total, 'kernels')
    task.update(done, undefined, total)
  }
}

/** Runs this command in a process of its own for one step. */
function firstStepOfProcess(
  { arch, batch, size, width, classes, unsafeFast }: ModelCommandOptions,
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const args = Object.entries({ model: arch, batch, size, width, classes }).flatMap(
    ([name, value]) => [`--${name}`, String(value)],
  )
  const child = spawn(
    process.execPath,
    [
      ...process.execArgv,
      process.argv[1]!,
      'bench',
      ...args,
      '--first-step',
      '--json',
      ...(unsafeFast ? ['--unsafe-fast'] : []),
    ],
    { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve((JSON.parse(stdout) as { seconds: number }).seconds)
      else reject(new Error(`the process that takes a first step ended with code ${code}`))
    })
  })
}

interface Report extends ModelBenchResult {
  readonly device: { readonly adapter: string }
  readonly model: string
  readonly batch: number
  readonly size: number
  readonly width: number
  readonly coldStart?: ColdStart
}

function describe(report: Report): string {
  const { device, model, batch, size, width, step, kernels, memory, coldStart } = report
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  const label = (name: string) => `  ${name.padEnd(18)}`
  const lines = [
    device.adapter,
    `${model}, width ${width}, ${batch} images of ${size}x${size}`,
    `${label('step')}${step.ms.toPrecision(4)} ms, ${step.imagesPerSecond.toPrecision(3)} images/s`,
    `${label('host')}${step.hostMs.toFixed(1)} ms a step`,
    `${label('dispatches')}${step.dispatches} in ${step.submissions} submissions`,
    `${label('made in all steps')}${step.bindGroupsCreated} bind groups, ${step.buffersCreated} buffers, ${step.pipelinesCreated} pipelines`,
    `${label('GPU memory')}${megabytes(memory.peakBytes)} at most, ${memory.ratio.toFixed(2)} times the ${megabytes(memory.liveBytes)} that must live:`,
    `${label('')}weights ${megabytes(memory.weightBytes)}, gradients ${megabytes(memory.gradientBytes)}, momentum ${megabytes(memory.momentumBytes)}, averages ${megabytes(memory.averageBytes)}, activations ${megabytes(memory.savedBytes)}`,
  ]
  if (coldStart)
    lines.push(
      `${label('first step')}${coldStart.coldSeconds.toFixed(1)} s after the start of a process with the driver's cache off, ${coldStart.warmSeconds.toFixed(1)} s with it`,
    )
  const nameWidth = Math.max(0, ...(kernels ?? []).map(({ kernel }) => kernel.length))
  for (const { kernel, ms, dispatches, share } of kernels ?? [])
    lines.push(
      `  ${kernel.padEnd(nameWidth)} ${ms.toFixed(2).padStart(9)} ms ${(100 * share).toFixed(1).padStart(5)} % ${String(dispatches).padStart(5)} dispatches`,
    )
  if (!kernels) lines.push('  no split by kernel: this device has no timestamp queries')
  return `${lines.join('\n')}\n`
}
