import fs from 'node:fs/promises'
import { dirname } from 'node:path'
import process from 'node:process'
import { fileError } from './files.ts'
import { encodeHeader, type TensorEntry } from './safetensorsHeader.ts'

/**
 * Writes a .safetensors file of f32 tensors piece by piece, for what does not fit in memory. The
 * file has its name only once all is written.
 */
export class SafetensorsWriter {
  readonly #entries: ReadonlyMap<string, TensorEntry>

  private constructor(
    readonly path: string,
    private readonly temporary: string,
    private readonly file: fs.FileHandle,
    private readonly dataStart: number,
    entries: readonly TensorEntry[],
  ) {
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
  }

  /** @throws Error naming the file when it can't be written */
  static async create(
    path: string,
    shapes: ReadonlyMap<string, readonly number[]>,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<SafetensorsWriter> {
    let end = 0
    const entries = [...shapes].map(([name, shape]): TensorEntry => {
      const begin = end
      end += shape.reduce((a, b) => a * b, 4)
      return { name, dtype: 'F32', shape, begin, end }
    })
    const header = encodeHeader(entries, metadata)
    const length = new Uint8Array(8)
    new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true)
    const temporary = `${path}.${process.pid}.part`
    try {
      await fs.mkdir(dirname(path), { recursive: true })
      const file = await fs.open(temporary, 'w')
      await file.writev([length, header])
      return new SafetensorsWriter(path, temporary, file, 8 + header.length, entries)
    } catch (error) {
      throw fileError(path, 'written', error)
    }
  }

  /** Writes values of a tensor from element `start` on. */
  async write(name: string, start: number, values: Float32Array): Promise<void> {
    const { begin } = this.#entries.get(name)!
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    try {
      for (let done = 0; done < bytes.length; ) {
        const position = this.dataStart + begin + 4 * start + done
        const { bytesWritten } = await this.file.write(bytes, done, undefined, position)
        done += bytesWritten
      }
    } catch (error) {
      throw fileError(this.path, 'written', error)
    }
  }

  /** Gives the file its name. */
  async finish(): Promise<void> {
    try {
      await this.file.sync()
      await this.file.close()
      await fs.rename(this.temporary, this.path)
    } catch (error) {
      throw fileError(this.path, 'written', error)
    }
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    await this.file.close().catch(() => {})
    await fs.rm(this.temporary, { force: true })
  }
}
