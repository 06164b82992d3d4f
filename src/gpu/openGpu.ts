import { GpuAdapterError } from './errors.ts'
import { Gpu, type GpuOptions } from './gpu.ts'
import { dawnBackend, noAdapterMessage, openDawn } from './openDawn.ts'
import { profileOf } from './profile.ts'

const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const

const WANTED_FEATURES: GPUFeatureName[] = ['timestamp-query', 'subgroups']

/**
 * Opens the default WebGPU device.
 *
 * @throws GpuAdapterError when there is no adapter; the message says what to install
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const { navigator } = globalThis as { navigator?: { gpu?: GPU } }
  const entry = navigator?.gpu ?? (await openDawn({ unsafeFast: !!options.unsafeFast }))
  const adapter = await entry.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) throw new GpuAdapterError(noAdapterMessage())
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]])),
  })
  const backend = navigator?.gpu ? 'browser' : dawnBackend()
  return new Gpu(device, profileOf(adapter, backend, entry.wgslLanguageFeatures), options)
}
