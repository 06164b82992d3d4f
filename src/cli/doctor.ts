import process from 'node:process'
import { Command } from 'commander'
import { type SelfTestResult, selfTest } from '../selfTest/selfTest.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { Progress } from './progress.ts'

const SHOWN_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const

interface Report {
  readonly adapter: string
  readonly driver: string
  readonly backend: string
  readonly software: boolean
  readonly features: readonly string[]
  readonly limits: Readonly<Record<string, number>>
  readonly selfTest: readonly SelfTestResult[]
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('show the adapter and test every kernel family on it, forward and backward')
    .option('--unsafe-fast', "turn the driver's index clamping off")
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(options: {
  readonly json?: boolean
  readonly unsafeFast?: boolean
}): Promise<void> {
  const gpu = await openTunedGpu({ unsafeFast: !!options.unsafeFast })
  const progress = new Progress()
  try {
    const task = progress.task('Testing kernels', 1, 'families')
    const results = await selfTest(gpu, (done, total) => task.update(done, undefined, total))
    const { device, profile } = gpu
    const report: Report = {
      adapter: profile.adapter,
      driver: profile.driver,
      backend: profile.backend,
      software: profile.software,
      features: [...device.features].sort(),
      limits: Object.fromEntries(SHOWN_LIMITS.map((name) => [name, device.limits[name]])),
      selfTest: results,
    }
    progress.stop()
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : describe(report))
    const failed = results.filter(({ ok }) => !ok)
    if (failed.length > 0)
      throw new Error(
        `${failed.map(({ kernel }) => kernel).join(', ')} ${failed.length > 1 ? 'give' : 'gives'} wrong results on this device: update its driver, or choose another adapter`,
      )
  } finally {
    progress.stop()
    gpu.close()
  }
}

function describe(report: Report): string {
  const { adapter, driver, backend, software, features, limits } = report
  const width = Math.max(...Object.keys(limits).map((name) => name.length)) + 2
  const row = (name: string, value: unknown) => `  ${name.padEnd(width)}${value}\n`
  return [
    row('adapter', adapter),
    row('driver', driver),
    row('backend', `${backend}${software ? ', software driver on the CPU' : ''}`),
    row('features', features.join(', ') || 'none'),
    ...Object.entries(limits).map(([name, value]) => row(name, value.toLocaleString('en'))),
    '\n',
    ...report.selfTest.map(({ kernel, ok, maxError }) =>
      row(kernel, `${ok ? 'ok    ' : 'WRONG '} error ${maxError.toExponential(1)}`),
    ),
  ].join('')
}
