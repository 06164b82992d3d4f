import { Gpu } from '../src/gpu/gpu.ts'
import { openGpu } from '../src/gpu/openGpu.ts'
import { RandomStream } from '../src/random/randomStream.ts'

/** The device as it is, and as if it were a wide GPU: 64 lanes, no subgroup operations. */
export async function openDevices() {
  const gpu = await openGpu()
  const wide = new Gpu(gpu.device, {
    ...gpu.profile,
    lanes: 64,
    subgroups8: false,
    targetWorkgroups: 1024,
  })
  return { gpu, wide, both: [gpu, wide] as const }
}

/** The same device under a smaller limit on what a kernel can bind. */
export function withBindingLimit(gpu: Gpu, bytes: number): Gpu {
  const smaller: Readonly<Record<PropertyKey, number>> = {
    maxBufferSize: bytes,
    maxStorageBufferBindingSize: bytes,
  }
  const limits = new Proxy(gpu.device.limits, {
    get: (target, name) => smaller[name] ?? Reflect.get(target, name, target),
  })
  const device = new Proxy(gpu.device, {
    get: (target, name) => {
      if (name === 'limits') return limits
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return new Gpu(device, gpu.profile)
}

/** Standard normal values; a seed is a stream of its own. */
export function normals(length: number, seed: number): Float32Array {
  const random = new RandomStream(seed, 99)
  return Float32Array.from({ length }, (_, i) => random.normal(i))
}
