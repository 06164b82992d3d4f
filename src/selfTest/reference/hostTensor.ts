import type { Gpu } from '../../gpu/gpu.ts'
import { GpuArray } from '../../gpu/gpuArray.ts'

/** A row-major array on the host, in double precision. */
export interface HostTensor {
  readonly value: Float64Array
  readonly shape: readonly number[]
}

/** An op's attributes with what lay on the device read back. */
export type HostAttributes<A> = {
  readonly [K in keyof A]: A[K] extends infer V ? (V extends GpuArray ? HostTensor : V) : never
}

/** Reads the device arrays among an op's attributes back; the rest stays as it is. */
export async function hostAttributes(gpu: Gpu, attributes: unknown): Promise<unknown> {
  const host: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(attributes as Record<string, unknown>))
    host[name] =
      value instanceof GpuArray
        ? { value: Float64Array.from(await gpu.read(value)), shape: value.shape }
        : value
  return host
}

/** Zeros of a shape. */
export function zeros(shape: readonly number[]): Float64Array {
  return new Float64Array(shape.reduce((a, b) => a * b, 1))
}
