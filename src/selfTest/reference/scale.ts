import type { HostTensor } from './hostTensor.ts'

/** y = factor * x. */
export function scale({ x }: { x: HostTensor }, { factor }: { factor: number }): HostTensor {
  return { value: x.value.map((v) => v * factor), shape: x.shape }
}
