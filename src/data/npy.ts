import type { Dtype } from './safetensorsDtype.ts'

/** What the header of a .npy file says of its one array. */
export interface NpyHeader {
  readonly dtype: Dtype
  /** Extents, the last index running fastest. */
  readonly shape: readonly number[]
  /** Byte at which the data begins. */
  readonly dataStart: number
}

/** Bytes before a version 1 header's text: magic, version, length. */
const PREFIX = 10
/** Bytes of a file that hold any header that this reader takes. */
export const NPY_HEADER_BYTES = 2 ** 16

const MAGIC = '\x93NUMPY'
const DTYPES: Readonly<Record<string, Dtype>> = {
  '<f4': 'F32',
  '<f8': 'F64',
  '<i4': 'I32',
  '<i8': 'I64',
  '<u4': 'U32',
  '|u1': 'U8',
}

/**
 * Reads the header of a .npy file (NumPy Enhancement Proposal 1, versions 1.0 to 3.0): little-endian
 * f4, f8, i4, i8, u4 and u1 in C order.
 *
 * @param path what errors name
 * @param bytes the file's first NPY_HEADER_BYTES bytes, or all of it
 * @param size bytes of the file
 * @throws Error naming the file and what is not supported or does not fit
 */
export function parseNpyHeader(path: string, bytes: Uint8Array, size: number): NpyHeader {
  const latin1 = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to))
  if (size < PREFIX || latin1(0, MAGIC.length) !== MAGIC)
    throw new Error(`${path} does not begin as a .npy file does`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = bytes[6]!
  if (version < 1 || version > 3)
    throw new Error(`${path} is .npy version ${version}, expected 1 to 3`)
  const textStart = version === 1 ? PREFIX : PREFIX + 2
  const dataStart =
    textStart +
    (version === 1
      ? view.getUint16(8, true)
      : bytes.length < textStart
        ? 0
        : view.getUint32(8, true))
  if (dataStart > size)
    throw new Error(`${path} is truncated: ${size} bytes, expected a header up to ${dataStart}`)
  if (dataStart > bytes.length)
    throw new Error(`${path} has a header of ${dataStart} bytes, expected at most ${bytes.length}`)
  const header = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(
    bytes.subarray(textStart, dataStart),
  )
  const dtype = dtypeIn(path, header)
  if (/'fortran_order'\s*:\s*True/.test(header))
    throw new Error(
      `${path} is in Fortran order, expected C order: save numpy.ascontiguousarray(x)`,
    )
  const tuple = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(header)?.[1]
  if (tuple === undefined || !/'fortran_order'\s*:\s*False/.test(header))
    throw new Error(`${path} has a header without a shape or an order: ${header.trim()}`)
  const shape = (tuple.match(/\d+/g) ?? []).map(Number)
  return { dtype, shape, dataStart }
}

function dtypeIn(path: string, header: string): Dtype {
  const name = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1]
  const expected = 'expected little-endian f4, f8, i4, i8, u4 or u1'
  if (name === undefined) throw new Error(`${path} holds records, not numbers: ${expected}`)
  const dtype = DTYPES[name]
  if (dtype) return dtype
  if (name.includes('O'))
    throw new Error(`${path} holds pickled Python objects (dtype ${name}): ${expected}`)
  if (name.startsWith('>')) throw new Error(`${path} is big-endian (dtype ${name}): ${expected}`)
  throw new Error(`${path} has dtype ${name}: ${expected}`)
}
