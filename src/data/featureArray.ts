import type { ArrayFile, FileArray } from './arrayFile.ts'

/**
 * An array [n, ...] of a file as n examples of p features each, read in pieces as float32.
 */
export class FeatureArray {
  readonly n: number
  /** Features of an example: all axes but the first. */
  readonly p: number

  /** @throws Error naming file and array when it is no [n, p] or [n, ..., p] with something in it */
  constructor(
    readonly file: ArrayFile,
    readonly array: FileArray,
  ) {
    const { shape } = array
    this.n = shape[0] ?? 0
    this.p = shape.slice(1).reduce((product, extent) => product * extent, 1)
    if (shape.length < 2 || this.n === 0 || this.p === 0)
      throw new Error(`${this.title} is [${shape.join(', ')}], expected [n, p] or [n, ..., p]`)
  }

  get name(): string {
    return this.array.name
  }

  /** What errors call it: the file, and the array where the file may have several. */
  get title(): string {
    const { path } = this.file
    return path.endsWith('.npy') ? path : `${path}: ${this.array.name}`
  }

  /**
   * Features first .. first + count of some examples, [rows.length, count] row by row.
   *
   * @param rows the examples, in the order in which they are wanted
   * @throws Error naming file, array, example and feature where one is not a finite float32
   */
  read(rows: Uint32Array, first: number, count: number): Float32Array<ArrayBuffer> {
    const { file, array, p } = this
    const values = new Float32Array(rows.length * count)
    for (let i = 0; i < rows.length; ) {
      // Neighbouring rows, read whole, lie side by side in the file.
      let end = i + 1
      if (count === p) while (end < rows.length && rows[end] === rows[end - 1]! + 1) end++
      const start = rows[i]! * p + first
      const piece = values.subarray(i * count, end * count)
      if (array.dtype === 'F32') file.readInto(array, start, piece)
      else piece.set(toNumbers(file.read(array, start, piece.length)))
      i = end
    }
    this.#checkFinite(values, rows, first, count)
    return values
  }

  #checkFinite(values: Float32Array, rows: Uint32Array, first: number, count: number): void {
    for (let at = 0; at < values.length; at++) {
      const value = values[at]!
      // Only what is not finite differs from itself here: infinity less itself is NaN.
      if (value - value === 0) continue
      const row = rows[Math.floor(at / count)]!
      const feature = first + (at % count)
      throw new Error(
        `${this.title} holds ${value} at example ${row}, feature ${feature}, expected finite float32 numbers`,
      )
    }
  }
}

function toNumbers(data: ReturnType<ArrayFile['read']>): ArrayLike<number> {
  return data instanceof BigInt64Array ? Float64Array.from(data, Number) : data
}
