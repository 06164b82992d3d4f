/** What kernels need to know of a device to choose their shape. */
export interface DeviceProfile {
  readonly adapter: string
  readonly driver: string
  /** What the adapter runs on: Vulkan, Metal, Direct3D 12, or a browser's own choice. */
  readonly backend: string
  /** True for a driver that runs shaders on the CPU (llvmpipe, SwiftShader, WARP). */
  readonly software: boolean
  /** Invocations of a workgroup; on a software driver one SIMD vector. */
  readonly lanes: number
  /** Whether subgroups always have exactly eight lanes and subgroup operations are there. */
  readonly subgroups8: boolean
  /** Whether a kernel reads an image at less cost than a buffer. */
  readonly fastImages: boolean
  /** Workgroups that keep the device busy; more cost launches, fewer leave it idle. */
  readonly targetWorkgroups: number
}

const SOFTWARE = /llvmpipe|lavapipe|swiftshader|basic render|software/i

/** Reads a profile off an adapter. */
export function profileOf(
  adapter: GPUAdapter,
  backend: string,
  languageFeatures: WGSLLanguageFeatures,
): DeviceProfile {
  const { info } = adapter
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`
  const software = SOFTWARE.test(text)
  const subgroups = adapter.features.has('subgroups')
  const subgroups8 =
    software && subgroups && info.subgroupMinSize === 8 && info.subgroupMaxSize === 8
  return {
    adapter: info.device || info.description || info.vendor || 'unknown adapter',
    driver: info.description || 'unknown driver',
    backend,
    software,
    lanes: software ? 8 : 64,
    subgroups8,
    fastImages: software && languageFeatures.has('readonly_and_readwrite_storage_textures'),
    targetWorkgroups: software ? 16 : 1024,
  }
}
