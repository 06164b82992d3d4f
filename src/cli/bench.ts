import process from 'node:process'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type BenchResult, type BenchRow, benchOps, runBench } from '../bench/benchOps.ts'
import { geometricMean } from '../bench/samples.ts'
import { type Architecture, architectures } from '../nn/resnet.ts'
import { runModel } from './benchModel.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { Progress } from './progress.ts'

const names = [...benchOps.keys()]

function opsOf(text: string): string[] {
  const chosen = text.split(',').map((name) => name.trim())
  for (const name of chosen)
    if (!benchOps.has(name))
      throw new InvalidArgumentError(`${name} is none of ${names.join(', ')}`)
  return names.filter((name) => chosen.includes(name))
}

function integer(least: number) {
  return (text: string): number => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`expected an integer of at least ${least}`)
    return value
  }
}

function factor(text: string): number {
  const value = Number(text)
  if (!(value > 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('expected a number above 0')
  return value
}

interface Options {
  readonly model?: Architecture
  readonly classes: number
  readonly cold: boolean
  readonly firstStep?: boolean
  readonly ops: readonly string[]
  readonly batch: number
  readonly size: number
  readonly width: number
  readonly runs: number
  readonly unsafeFast?: boolean
  readonly both?: boolean
  readonly json?: boolean
}

export function benchCommand(): Command {
  return new Command('bench')
    .description("measure kernels against this device's own multiply-add and copy ceilings")
    .option('--ops <LIST>', `some of ${names.join(', ')}, with commas between`, opsOf, names)
    .option('--batch <N>', 'images of a batch', integer(1), 8)
    .option('--size <S>', 'height and width of an image', integer(32), 224)
    .option('--width <X>', "factor of ResNet-50's channel counts", factor, 1)
    .option('--runs <N>', 'samples of which the median is taken', integer(1), 5)
    .addOption(
      new Option(
        '--model <NAME>',
        'measure training steps of a network instead of kernels',
      ).choices(Object.keys(architectures)),
    )
    .option('--classes <K>', 'classes of the network', integer(1), 1000)
    .option('--averages', 'average the weights of the network too, as train does')
    .option('--no-cold', 'leave out the first steps of new processes')
    .option('--first-step', 'take one step of the network only, and tell when it ended')
    .option('--unsafe-fast', "turn the driver's index clamping off")
    .option('--both', 'time the kernels a second time without index clamping, and compare')
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(options: Options, command: Command): Promise<void> {
  const { model } = options
  if (model) return runModel({ ...options, arch: model })
  if (options.firstStep) command.error('error: --first-step needs --model')
  if (options.unsafeFast && options.both)
    command.error('error: --unsafe-fast and --both are given, expected one of them')
  const progress = new Progress()
  try {
    const robustness = !options.unsafeFast
    const { device, result } = await measure(options, progress, robustness)
    const fast = options.both ? await measure(options, progress, false) : undefined
    const unclamped = fast && compare(result, fast.result)
    progress.stop()
    const report = { device, robustness, ...result, ...(unclamped ? { unclamped } : {}) }
    process.stdout.write(
      options.json
        ? `${JSON.stringify(report)}\n`
        : `${describe(device.adapter, result)}${unclamped ? describeUnclamped(unclamped) : ''}`,
    )
  } finally {
    progress.stop()
  }
}

async function measure(options: Options, progress: Progress, robustness: boolean) {
  const gpu = await openTunedGpu({ unsafeFast: !robustness })
  try {
    const task = progress.task(
      robustness ? 'Benchmarks' : 'Benchmarks without index clamping',
      1,
      'shapes',
    )
    const { adapter, driver, backend, software } = gpu.profile
    const result = await runBench(gpu, {
      ...options,
      onProgress: (done, total, next) => task.update(done, next || undefined, total),
    })
    task.end()
    return { device: { adapter, driver, backend, software }, result }
  } finally {
    gpu.close()
  }
}

/** A pass with the driver's index clamping and without. */
interface Unclamped {
  readonly op: string
  readonly shape: string
  readonly pass: string
  readonly ms: number
  readonly unclampedMs: number
}

function compare(clamped: BenchResult, unclamped: BenchResult): Unclamped[] {
  return clamped.rows.map(({ op, shape, pass, ms }, i) => ({
    op,
    shape,
    pass,
    ms,
    unclampedMs: unclamped.rows[i]!.ms,
  }))
}

function describeUnclamped(rows: readonly Unclamped[]): string {
  const names = [...new Set(rows.map(({ op }) => op))]
  const line = (label: string, { ms, unclampedMs }: Pick<Unclamped, 'ms' | 'unclampedMs'>) =>
    `${label} ${ms.toPrecision(3).padStart(8)} ms ${unclampedMs.toPrecision(3).padStart(8)} ms ${(unclampedMs / ms).toFixed(2).padStart(6)}`
  const labelOf = ({ op, shape, pass }: Unclamped) => `${op} ${shape} ${pass}`
  const width = Math.max(...rows.map((row) => labelOf(row).length))
  const means = names.map((name) => {
    const ratios = rows.flatMap(({ op, ms, unclampedMs }) => (op === name ? unclampedMs / ms : []))
    return `${name}: ${geometricMean(ratios).toFixed(2)}`
  })
  return [
    '',
    'Time with index clamping, without it, and their ratio',
    ...rows.map((row) => line(labelOf(row).padEnd(width), row)),
    `Geometric means of the ratios: ${means.join(', ')}`,
    '',
  ].join('\n')
}

function describe(adapter: string, { ceilings, rows, means }: BenchResult): string {
  const { fma, copy } = ceilings
  const shapeWidth = Math.max(...rows.map(({ shape }) => shape.length))
  const passWidth = Math.max(...rows.map(({ pass }) => pass.length))
  const line = (row: BenchRow): string =>
    [
      row.op.padEnd(11),
      row.shape.padEnd(shapeWidth),
      row.pass.padEnd(passWidth),
      `${row.ms.toPrecision(3)} ms`.padStart(11),
      rateOf(row).padStart(13),
      `${row.percentOfPeak.toFixed(0)} %`.padStart(6),
      ` of ${BOUNDS[row.bound]}${besideOf(row)}`,
    ].join(' ')
  return [
    `${adapter}`,
    `multiply-add ceiling ${fma.gflops.toFixed(1)} GFLOP/s (${fma.kernel})`,
    `copy ceiling ${copy.gbps.toFixed(1)} GB/s (${copy.kernel})`,
    '',
    ...rows.map(line),
    ...(means.length > 0 ? ['', 'Geometric means over the shapes'] : []),
    ...means.map(
      ({ op, pass, gflops, percentOfPeak }) =>
        `${op.padEnd(11)} ${pass.padEnd(passWidth)} ${gflops.toFixed(1).padStart(7)} GFLOP/s ${percentOfPeak.toFixed(0).padStart(4)} %`,
    ),
    '',
  ].join('\n')
}

const BOUNDS = {
  fma: 'the multiply-add ceiling',
  copy: 'a copy of the same bytes',
  arithmetic: 'its arithmetic',
} as const

/** Both bounds of a pass that has two. */
function besideOf({ copyMs, ratioToCopy, arithmeticMs, ratioToArithmetic }: BenchRow): string {
  if (!arithmeticMs) return ''
  const copies = `${ratioToCopy!.toFixed(1)} copies of ${copyMs!.toPrecision(3)} ms`
  return ` (${copies}, ${ratioToArithmetic!.toFixed(1)} times its arithmetic's ${arithmeticMs.toPrecision(3)} ms)`
}

function rateOf({ gflops, gbps }: BenchRow): string {
  return gflops === undefined ? `${gbps!.toFixed(1)} GB/s` : `${gflops.toFixed(1)} GFLOP/s`
}
