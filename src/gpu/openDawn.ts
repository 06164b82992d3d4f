import { tmpdir } from 'node:os'
import process from 'node:process'
import { GpuAdapterError } from './errors.ts'

// Dawn aborts the process when its instance is collected while a device lives. Devices share one,
// for each keeps two megabytes.
const instances = new Map<boolean, GPU>()

function installHint(): string {
  if (process.platform === 'linux')
    return "install a Vulkan driver: your GPU vendor's, or Mesa 23 or newer (`apt-get install mesa-vulkan-drivers`; on Debian 12 add `-t bookworm-backports`)"
  if (process.platform === 'darwin') return 'a Mac with Metal is needed (macOS 11 or newer)'
  return 'update the graphics driver so that Direct3D 12 or Vulkan works'
}

/**
 * The WebGPU entry point of Dawn under Node.
 *
 * @throws GpuAdapterError when the npm package `webgpu` has no binary for this platform
 */
export async function openDawn(options: { unsafeFast: boolean }): Promise<GPU> {
  // So that any program, the test suite above all, can be run both ways.
  const unsafeFast = options.unsafeFast || process.env.GRAMGRAD_UNSAFE_FAST === '1'
  const opened = instances.get(unsafeFast)
  if (opened) return opened
  // Mesa warns when this is unset, though it puts nothing there.
  if (process.platform === 'linux' && !process.env.XDG_RUNTIME_DIR)
    process.env.XDG_RUNTIME_DIR = tmpdir()
  try {
    const { create, globals } = await import('webgpu')
    Object.assign(globalThis, globals)
    const gpu = create([
      // Otherwise timestamps are rounded to 0.1 ms, longer than most kernels run.
      'disable-dawn-features=timestamp_quantization',
      ...(unsafeFast ? ['enable-dawn-features=disable_robustness'] : []),
    ])
    instances.set(unsafeFast, gpu)
    return gpu
  } catch (error) {
    throw new GpuAdapterError(
      `the npm package webgpu does not load on ${process.platform}-${process.arch}: ${(error as Error).message}`,
    )
  }
}

/** The API that Dawn runs on by default on this platform. */
export function dawnBackend(): string {
  return { darwin: 'Metal', win32: 'Direct3D 12' }[process.platform as string] ?? 'Vulkan'
}

/** The sentence for a machine without a usable adapter. */
export function noAdapterMessage(): string {
  return `no WebGPU adapter was found on this machine: ${installHint()}`
}
