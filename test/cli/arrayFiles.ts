import { writeFile } from 'node:fs/promises'

const DESCRS = new Map<unknown, string>([
  [Float32Array, '<f4'],
  [Float64Array, '<f8'],
  [Int32Array, '<i4'],
  [BigInt64Array, '<i8'],
  [Uint8Array, '|u1'],
])

/** The bytes of a .npy file, version 1.0; `header` replaces parts of its dictionary. */
export function encodeNpy(
  shape: readonly number[],
  data: ArrayBufferView,
  header: { readonly descr?: string; readonly order?: 'True' | 'False' } = {},
): Uint8Array {
  const descr = header.descr ?? DESCRS.get(data.constructor)!
  const tuple = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`
  const text = `{'descr': '${descr}', 'fortran_order': ${header.order ?? 'False'}, 'shape': ${tuple}, }`
  const padded = `${text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11)}\n`
  const bytes = new Uint8Array(10 + padded.length + data.byteLength)
  bytes.set([0x93, ...Buffer.from('NUMPY'), 1, 0, padded.length % 256, padded.length >> 8])
  bytes.set(Buffer.from(padded, 'latin1'), 10)
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + padded.length)
  return bytes
}

export async function writeNpy(
  path: string,
  ...args: Parameters<typeof encodeNpy>
): Promise<string> {
  await writeFile(path, encodeNpy(...args))
  return path
}
