import type { HostTensor } from './hostTensor.ts'

/** y = max(x, 0). */
export function relu({ x }: { x: HostTensor }): HostTensor {
  return { value: x.value.map((v) => Math.max(v, 0)), shape: x.shape }
}
