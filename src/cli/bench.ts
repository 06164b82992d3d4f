import process from 'node:process'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type BenchResult, type BenchRow, benchOps, runBench } from '../bench/benchOps.ts'
import { type Architecture, architectures } from '../nn/resnet.ts'
import { runModel } from './benchModel.ts'
import { Progress } from './progress.ts'
import { openTunedGpu } from './tuneAtFirstUse.ts'

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
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(options: Options, command: Command): Promise<void> {
  const { model } = options
  if (model) return runModel({ ...options, arch: model })
  if (options.firstStep) command.error('error: --first-step needs --model')
  const gpu = await openTunedGpu({ unsafeFast: !!options.unsafeFast })
  const progress = new Progress()
  try {
    const task = progress.task('Benchmarks', 1, 'shapes')
    const { adapter, driver, backend, software } = gpu.profile
    const result = await runBench(gpu, {
      ...options,
      onProgress: (done, total, next) => task.update(done, next || undefined, total),
    })
    progress.stop()
    const device = { adapter, driver, backend, software }
    const robustness = !options.unsafeFast
    const report = { device, robustness, ...result }
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : describe(adapter, result))
  } finally {
    progress.stop()
    gpu.close()
  }
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
