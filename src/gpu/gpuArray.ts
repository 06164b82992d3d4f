import { GpuError } from './errors.ts'
import type { Storage } from './storage.ts'

/** Element types of arrays on the device; all are four bytes wide. */
export type DType = 'f32' | 'u32' | 'i32'

/** The typed array that holds a dtype's elements on the host. */
export type HostArray<D extends DType> = D extends 'f32'
  ? Float32Array
  : D extends 'u32'
    ? Uint32Array
    : Int32Array

/** The constructor of each dtype's `HostArray`. */
export const HOST_ARRAYS = { f32: Float32Array, u32: Uint32Array, i32: Int32Array }

/** @throws GpuError when `data` has not the type or length of an array of this dtype and shape */
export function checkHostArray(
  dtype: DType,
  shape: readonly number[],
  data: HostArray<DType>,
): void {
  const length = shape.reduce((a, b) => a * b, 1)
  const { name } = HOST_ARRAYS[dtype]
  if (data.constructor.name !== name || data.length !== length)
    throw new GpuError(
      `data is a ${data.constructor.name} of ${data.length}, expected a ${name} of ${length} for ${dtype} [${shape}]`,
    )
}

/**
 * A dense row-major array on the device: a shape over a slice of a storage buffer.
 *
 * The slice is padded to 16 bytes, so kernels may read and write it in whole `vec4`s; what lies in
 * the padding is undefined.
 */
export class GpuArray<D extends DType = DType> {
  readonly length: number

  constructor(
    readonly dtype: D,
    readonly shape: readonly number[],
    readonly storage: Storage,
    readonly offset = 0,
  ) {
    this.length = shape.reduce((a, b) => a * b, 1)
  }

  /** Bytes of the slice that a binding covers. */
  get bindingSize(): number {
    return Math.max(16, Math.ceil(this.length / 4) * 16)
  }

  /** The same elements under another shape of equal length; shares and retains the storage. */
  reshape(shape: readonly number[]): GpuArray<D> {
    const view = new GpuArray(this.dtype, shape, this.storage, this.offset)
    if (view.length !== this.length)
      throw new GpuError(`reshape of [${this.shape}] to [${shape}] changes the number of elements`)
    this.storage.retain()
    return view
  }

  /** @throws GpuError when the array was given back */
  checkLive(): void {
    if (this.storage.uses === 0)
      throw new GpuError(`array ${this.storage.label} [${this.shape}] was released before`)
  }

  retain(): this {
    this.storage.retain()
    return this
  }

  /** Gives the array back; its buffer returns to the pool with the last use. */
  release(): void {
    this.storage.release()
  }
}
