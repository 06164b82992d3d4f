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

/** The same device where a kernel binds at most this many bytes of an array. */
export function withBindingLimit(gpu: Gpu, bytes: number): Gpu {
  return new Gpu(gpu.device, gpu.profile, { largestBinding: bytes })
}

/** Standard normal values; a seed is a stream of its own. */
export function normals(length: number, seed: number): Float32Array {
  const random = new RandomStream(seed, 99)
  return Float32Array.from({ length }, (_, i) => random.normal(i))
}
