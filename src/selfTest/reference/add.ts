import type { HostTensor } from './hostTensor.ts'

/** y = a + b. */
export function add({ a, b }: { a: HostTensor; b: HostTensor }): HostTensor {
  return { value: a.value.map((v, i) => v + b.value[i]!), shape: a.shape }
}
