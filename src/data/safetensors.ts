import fs from 'node:fs/promises'
import { fileError, writeFileWhole } from './files.ts'
import { dtypeOf, type TensorArray, viewAs } from './safetensorsDtype.ts'
import { encodeHeader, parseHeader, type TensorEntry } from './safetensorsHeader.ts'

/** An array with its shape; the kind of `data` is the dtype. */
export interface NamedTensor {
  /** Extents, the last index running fastest; [] for a scalar. */
  shape: readonly number[]
  data: TensorArray
}

/** What a .safetensors file holds. */
export interface SafetensorsFile {
  /** By name, in the order in which the data lies in the file. */
  tensors: Map<string, NamedTensor>
  /** `__metadata__`: strings by key; {} where the file has none. */
  metadata: Record<string, string>
}

/** The reference implementation's limit on the header. */
const MAX_HEADER = 100_000_000
/** A read call takes at most 2^31 - 1 bytes. */
const READ_CHUNK = 2 ** 30

/**
 * Reads a .safetensors file (huggingface/safetensors, "Format"): u64 header length, JSON header,
 * then the tensors' little-endian data. Dtypes F32, F64, I32, I64, U8 and U32.
 *
 * Everything is checked before a tensor is read: header length, JSON, duplicate names, dtype,
 * shape against byte count, and that the tensors cover the data exactly, without overlap or gap.
 *
 * @throws Error naming the file, and the tensor where one is at fault.
 */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  let file: fs.FileHandle
  try {
    file = await fs.open(path)
  } catch (error) {
    throw fileError(path, 'read', error)
  }
  try {
    const { size } = await file.stat()
    const { entries, metadata, dataStart } = await readHeader(path, file, size)
    const tensors = new Map<string, NamedTensor>()
    for (const { name, dtype, shape, begin, end } of entries) {
      const bytes = await readBytes(path, file, dataStart + begin, end - begin)
      tensors.set(name, { shape, data: viewAs(dtype, bytes) })
    }
    return { tensors, metadata }
  } catch (error) {
    throw (error as NodeJS.ErrnoException).syscall ? fileError(path, 'read', error) : error
  } finally {
    await file.close()
  }
}

/**
 * Writes a .safetensors file, whole or not at all. Tensors lie by falling element size and then
 * by name, so all are aligned and the same content gives the same bytes.
 *
 * @param tensors by name; the arrays must not change until the promise resolves.
 * @param metadata strings kept under `__metadata__`.
 * @throws Error naming the file and the tensor whose shape does not fit its data or whose name is
 *   `__metadata__`, or a metadata value that is no string; and when the file can't be written.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new Error(`${path}: metadata '${key}' is a ${typeof value}, expected a string`)
    }
  }
  const entries: TensorEntry[] = []
  let end = 0
  for (const [name, { shape, data }] of sortForFile(path, tensors)) {
    const begin = end
    end += data.byteLength
    entries.push({ name, dtype: dtypeOf(data)!, shape, begin, end })
  }
  const header = encodeHeader(entries, metadata)
  if (header.length > MAX_HEADER) {
    throw new Error(`${path} would have a header of ${header.length} bytes, expected at most 10^8`)
  }
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true)
  const parts = entries.map(({ name }) => {
    const { data } = tensors.get(name)!
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  })
  await writeFileWhole(path, [length, header, ...parts])
}

function sortForFile(
  path: string,
  tensors: ReadonlyMap<string, NamedTensor>,
): [string, NamedTensor][] {
  for (const [name, { shape, data }] of tensors) {
    if (name === '__metadata__') {
      throw new Error(`${path}: a tensor is named '__metadata__', which the format reserves`)
    }
    if (dtypeOf(data) === undefined) {
      throw new Error(`${path}: tensor '${name}' is a ${data.constructor.name}, which has no dtype`)
    }
    const expected = shape.reduce((product, extent) => product * extent, 1)
    if (data.length !== expected || !shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
      throw new Error(
        `${path}: tensor '${name}' has ${data.length} elements, ` +
          `expected those of shape [${shape.join(', ')}]`,
      )
    }
  }
  return [...tensors].sort(
    ([nameA, a], [nameB, b]) =>
      b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT || (nameA < nameB ? -1 : 1),
  )
}

/** Reads and checks the header of an open file of `size` bytes, see `readSafetensors`. */
export async function readHeader(
  path: string,
  file: fs.FileHandle,
  size: number,
): Promise<{ entries: TensorEntry[]; metadata: Record<string, string>; dataStart: number }> {
  if (size < 8) {
    throw new Error(`${path} is truncated: ${size} bytes, expected 8 for the header's length`)
  }
  const prefix = await readBytes(path, file, 0, 8)
  const length = Number(new DataView(prefix).getBigUint64(0, true))
  if (length > MAX_HEADER) {
    throw new Error(
      `${path} has a header length of ${length}, expected at most 10^8: no .safetensors file`,
    )
  }
  const dataStart = 8 + length
  if (dataStart > size) {
    throw new Error(`${path} is truncated: ${size} bytes, expected a header up to ${dataStart}`)
  }
  const header = new Uint8Array(await readBytes(path, file, 8, length))
  return { ...parseHeader(path, header, size - dataStart), dataStart }
}

async function readBytes(
  path: string,
  file: fs.FileHandle,
  position: number,
  length: number,
): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    const wanted = Math.min(READ_CHUNK, length - done)
    const { bytesRead } = await file.read(bytes, done, wanted, position + done)
    if (bytesRead === 0) {
      throw new Error(`${path} ended at byte ${position + done} while it was read`)
    }
    done += bytesRead
  }
  return bytes.buffer
}
