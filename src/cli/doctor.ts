import process from 'node:process'
import { Command } from 'commander'
import { openGpu } from '../gpu/gpu.ts'

const SHOWN_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('show the adapter and test every kernel family on it, forward and backward')
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(_options: { readonly json?: boolean }): Promise<void> {
  const gpu = await openGpu()
  const { device, profile } = gpu
  const report = {
    adapter: profile.adapter,
    backend: profile.backend,
    software: profile.software,
    features: [...device.features].sort(),
    limits: Object.fromEntries(SHOWN_LIMITS.map((name) => [name, device.limits[name]])),
  }
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  gpu.close()
}
