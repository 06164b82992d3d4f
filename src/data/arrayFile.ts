import fs from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { fileError } from './files.ts'
import { NPY_HEADER_BYTES, parseNpyHeader } from './npy.ts'
import { readHeader } from './safetensors.ts'
import { type Dtype, dtypeSize, type TensorArray, viewAs } from './safetensorsDtype.ts'

/** One array of a file, read in pieces. */
export interface FileArray {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Byte at which its data begins. */
  readonly start: number
}

/**
 * An open .npy or .safetensors file: its arrays by name, of which only what is asked for is read. The
 * array of a .npy file has the file's name without the ending.
 */
export class ArrayFile {
  readonly #descriptor: number

  private constructor(
    readonly path: string,
    descriptor: number,
    readonly arrays: ReadonlyMap<string, FileArray>,
  ) {
    this.#descriptor = descriptor
  }

  /**
   * Opens a file and checks its header; `close` closes it.
   *
   * @throws Error naming the file when it can't be read, is truncated, or holds what is not supported
   */
  static async open(path: string): Promise<ArrayFile> {
    const ending = extname(path)
    if (ending !== '.npy' && ending !== '.safetensors')
      throw new Error(`${path} is neither a .npy nor a .safetensors file`)
    const handle = await open(path).catch((error: unknown) => {
      throw fileError(path, 'read', error)
    })
    let arrays: FileArray[]
    try {
      const { size } = await handle.stat()
      if (ending === '.npy') arrays = [npyArray(path, handle.fd, size)]
      else {
        const { entries, dataStart } = await readHeader(path, handle, size)
        arrays = entries.map(({ name, dtype, shape, begin }) => ({
          name,
          dtype,
          shape,
          start: dataStart + begin,
        }))
      }
    } catch (error) {
      throw (error as NodeJS.ErrnoException).syscall ? fileError(path, 'read', error) : error
    } finally {
      await handle.close()
    }
    const descriptor = fs.openSync(path, 'r')
    return new ArrayFile(path, descriptor, new Map(arrays.map((array) => [array.name, array])))
  }

  /** Reads `count` elements of an array from `first` on. @throws Error naming a file that ended */
  read({ dtype, start }: FileArray, first: number, count: number): TensorArray {
    const bytes = new ArrayBuffer(count * dtypeSize(dtype))
    readInto(this.path, this.#descriptor, new Uint8Array(bytes), start + first * dtypeSize(dtype))
    return viewAs(dtype, bytes)
  }

  /** Reads elements of an F32 array straight to where they are wanted. */
  readInto({ start }: FileArray, first: number, values: Float32Array): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    readInto(this.path, this.#descriptor, bytes, start + first * 4)
  }

  close(): void {
    fs.closeSync(this.#descriptor)
  }
}

function npyArray(path: string, descriptor: number, size: number): FileArray {
  const bytes = new Uint8Array(Math.min(size, NPY_HEADER_BYTES))
  readInto(path, descriptor, bytes, 0)
  const { dtype, shape, dataStart } = parseNpyHeader(path, bytes, size)
  const expected = shape.reduce((product, extent) => product * extent, dtypeSize(dtype))
  if (size - dataStart !== expected)
    throw new Error(
      `${path} ${size - dataStart < expected ? 'is truncated: it ' : ''}has ${size - dataStart} bytes of data, expected ${expected} for ${dtype} [${shape.join(', ')}]`,
    )
  return { name: basename(path, '.npy'), dtype, shape, start: dataStart }
}

function readInto(path: string, descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const wanted = Math.min(2 ** 30, bytes.length - done)
    const read = fs.readSync(descriptor, bytes, done, wanted, position + done)
    if (read === 0) throw new Error(`${path} ended at byte ${position + done} while it was read`)
    done += read
  }
}
