import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { readFileBytes } from './files.ts'

/** Grey images of one IDX file. */
export interface IdxImages {
  /** Number of images N. */
  count: number
  /** Rows H. */
  height: number
  /** Columns W. */
  width: number
  /** u8 [N, H, W], row by row. */
  pixels: Uint8Array
}

/** Third byte of the magic number: the type of an element. */
const ELEMENT_TYPES: Record<number, string> = {
  8: 'unsigned bytes',
  9: 'signed bytes',
  11: '16-bit integers',
  12: '32-bit integers',
  13: '32-bit floats',
  14: '64-bit floats',
}
const UNSIGNED_BYTES = 8

/** Far above any IDX set in use (EMNIST by class: 0.6 GB), far below what a bomb could claim. */
const MAX_DECOMPRESSED = 2 ** 31 - 1

/**
 * Reads an IDX file of images (magic number 0x00000803: unsigned bytes, 3 dimensions), the format
 * of the MNIST family (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten
 * digits"). A gzip'd file is known by its first two bytes, not by its name.
 *
 * @throws Error naming the file, what came and what was expected: missing file, folder, damaged
 *   gzip data, wrong magic number, truncation, surplus bytes, no images or no pixels.
 */
export async function readIdxImages(path: string): Promise<IdxImages> {
  const { shape, data } = await readIdx(path, 3)
  const [count, height, width] = shape as [number, number, number]
  if (data.length === 0) {
    throw new Error(`${path} holds no images: its header says ${shape.join(' x ')}`)
  }
  return { count, height, width, pixels: data }
}

/**
 * Reads an IDX file of labels (magic number 0x00000801: unsigned bytes, 1 dimension), gzip'd or not.
 *
 * @returns u8 [N].
 * @throws Error as `readIdxImages`.
 */
export async function readIdxLabels(path: string): Promise<Uint8Array> {
  const { data } = await readIdx(path, 1)
  if (data.length === 0) throw new Error(`${path} holds no labels: its header says 0`)
  return data
}

/**
 * Reads images and their labels.
 *
 * @throws Error as the two readers, and when the counts differ.
 */
export async function readIdxPair(
  imagesPath: string,
  labelsPath: string,
): Promise<{ images: IdxImages; labels: Uint8Array }> {
  const [images, labels] = await Promise.all([readIdxImages(imagesPath), readIdxLabels(labelsPath)])
  if (images.count !== labels.length) {
    throw new Error(
      `${imagesPath} holds ${images.count} images, but ${labelsPath} holds ${labels.length} labels`,
    )
  }
  return { images, labels }
}

/**
 * The bytes of an IDX file of unsigned bytes.
 *
 * @param shape 1 to 255 extents, each a u32.
 * @param data u8 [...shape], the last index running fastest.
 * @throws RangeError when `data` does not have the length that `shape` says.
 */
export function encodeIdx(shape: readonly number[], data: Uint8Array): Uint8Array {
  const expected = shape.reduce((product, extent) => product * extent, 1)
  if (data.length !== expected) {
    throw new RangeError(
      `data has ${data.length} bytes, expected ${shape.join(' x ')} = ${expected}`,
    )
  }
  const headerLength = 4 + 4 * shape.length
  const bytes = new Uint8Array(headerLength + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, magicNumber(shape.length))
  shape.forEach((extent, axis) => {
    view.setUint32(4 + 4 * axis, extent)
  })
  bytes.set(data, headerLength)
  return bytes
}

function magicNumber(dimensions: number): number {
  return (UNSIGNED_BYTES << 8) | dimensions
}

async function readIdx(
  path: string,
  dimensions: number,
): Promise<{ shape: number[]; data: Uint8Array }> {
  const stored = await readFileBytes(path)
  if (stored.length === 0) throw new Error(`${path} is empty, expected an IDX file`)
  const gzipped = stored[0] === 0x1f && stored[1] === 0x8b
  const bytes = gzipped ? await decompress(path, stored) : stored
  // Byte counts in the messages are of what the reader sees, so say when that is not the file.
  const where = gzipped ? ' after decompression' : ''

  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerLength = 4 + 4 * dimensions
  if (bytes.length >= 4 && view.getUint32(0) !== magicNumber(dimensions)) {
    throw new Error(
      `${path} begins with ${describeMagic(view.getUint32(0))}${where}, ` +
        `expected ${describeMagic(magicNumber(dimensions))}`,
    )
  }
  if (bytes.length < headerLength) {
    throw new Error(
      `${path} is truncated: ${bytes.length} bytes${where}, expected a header of ${headerLength}`,
    )
  }
  const shape = Array.from({ length: dimensions }, (_, axis) => view.getUint32(4 + 4 * axis))
  const expected = shape.reduce((product, extent) => product * extent, 1)
  const data = bytes.subarray(headerLength)
  if (data.length !== expected) {
    const problem = data.length < expected ? 'is truncated' : 'has bytes past its end'
    const size = dimensions === 1 ? `${expected}` : `${shape.join(' x ')} = ${expected}`
    throw new Error(
      `${path} ${problem}: ${data.length} bytes of data${where}, expected ${size} by its header`,
    )
  }
  return { shape, data }
}

function describeMagic(magic: number): string {
  const hex = `magic number 0x${magic.toString(16).padStart(8, '0')}`
  const type = ELEMENT_TYPES[(magic >>> 8) & 0xff]
  const dimensions = magic & 0xff
  if (magic >>> 16 !== 0 || type === undefined || dimensions === 0) return `${hex} (not IDX)`
  return `${hex} (${type}, ${dimensions} dimension${dimensions === 1 ? '' : 's'})`
}

async function decompress(path: string, stored: Uint8Array): Promise<Uint8Array> {
  try {
    return await promisify(gunzip)(stored, { maxOutputLength: MAX_DECOMPRESSED })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'Z_BUF_ERROR' ? 'it is truncated' : message
    throw new Error(`${path} has damaged gzip data: ${reason}`, { cause: error })
  }
}
