import type { Gpu } from './gpu.ts'
import { foldWorkgroups } from './workgroups.ts'

/**
 * The launch of a kernel that runs over an array's elements in order (shaders/lib/elementwise.wesl).
 *
 * @param width elements of one item: 4 for a kernel over vec4s
 */
export function elementwiseCall<P extends Readonly<Record<string, number>>>(
  gpu: Gpu,
  array: { readonly length: number },
  params: P,
  width: 1 | 4 = 4,
) {
  const { lanes, targetWorkgroups } = gpu.profile
  const items = Math.max(1, Math.ceil(array.length / width))
  const itemsPerLane = Math.min(512, Math.max(1, Math.ceil(items / lanes / targetWorkgroups)))
  return {
    constants: { LANES: lanes },
    params: { ...params, items, itemsPerLane },
    workgroups: foldWorkgroups(Math.ceil(items / lanes / itemsPerLane)),
  } as const
}
