import process from 'node:process'
import type { Gpu, GpuOptions } from '../gpu/gpu.ts'
import { openGpu } from '../gpu/openGpu.ts'
import { readTuning, shippedTuning } from './tuningCache.ts'

/**
 * Opens the default device with its own tuning and, for other shapes, what comes with the package for its kind.
 *
 * @throws GpuAdapterError when there is none
 */
export async function openTunedGpu(options: GpuOptions = {}): Promise<Gpu> {
  const gpu = await openGpu(options)
  const own = await readTuning(gpu.profile, (line) => process.stderr.write(`${line}\n`))
  gpu.choices = { ...shippedTuning(gpu.profile), ...own }
  return gpu
}
