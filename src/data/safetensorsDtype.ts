/** The dtypes read and written, with the arrays that hold them. */
const ARRAYS = {
  F64: Float64Array,
  I64: BigInt64Array,
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  U8: Uint8Array,
} as const

/** A dtype by the name it has in a .safetensors header. */
export type Dtype = keyof typeof ARRAYS

/** An array of one of the dtypes. */
export type TensorArray =
  | Float64Array
  | BigInt64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Uint8Array

/** The names of all dtypes read and written. */
export const dtypes = Object.keys(ARRAYS) as Dtype[]

/** Bytes of an element. */
export function dtypeSize(dtype: Dtype): number {
  return ARRAYS[dtype].BYTES_PER_ELEMENT
}

/** The dtype of an array, or undefined for one that has none. */
export function dtypeOf(data: ArrayBufferView): Dtype | undefined {
  return dtypes.find((dtype) => data instanceof ARRAYS[dtype])
}

/** Little-endian bytes as an array, without a copy (every JavaScript engine in use is so too). */
export function viewAs(dtype: Dtype, bytes: ArrayBuffer): TensorArray {
  return new ARRAYS[dtype](bytes)
}
