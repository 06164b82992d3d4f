import { type DType, GpuArray } from '../gpu/gpuArray.ts'

/** Elements first .. first + count of an array, as the source or target of a copy; not retained. */
export function sliceOf<D extends DType>(array: GpuArray<D>, first: number, count: number) {
  return new GpuArray(array.dtype, [count], array.storage, array.offset + 4 * first)
}
