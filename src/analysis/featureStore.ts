import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { sliceOf } from './slice.ts'

/** Reads or writes some bytes of a file, and says how many. */
type Transfer = (
  file: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  position: number,
) => number

/** A layer's features [n, p] of a minibatch, which come and go by rows. */
export interface FeatureStore {
  /** All of them, or how to read features first .. first + count of every row. */
  readonly features: GpuArray<'f32'> | ((first: number, count: number) => Float32Array)
  /** Takes the rows from `firstRow` on. */
  write(firstRow: number, rows: GpuArray<'f32'>): Promise<void>
  /** Fills an array with the rows from `firstRow` on. */
  read(firstRow: number, rows: GpuArray<'f32'>): void
  release(): void
}

/** Features that stay on the device, as one array. */
export class DeviceStore implements FeatureStore {
  readonly features: GpuArray<'f32'>

  constructor(
    private readonly gpu: Gpu,
    n: number,
    private readonly p: number,
  ) {
    this.features = gpu.empty('f32', [n, p], 'features of a minibatch')
  }

  async write(firstRow: number, rows: GpuArray<'f32'>): Promise<void> {
    this.gpu.copy(sliceOf(rows, 0, rows.length), this.#rows(firstRow, rows))
  }

  read(firstRow: number, rows: GpuArray<'f32'>): void {
    this.gpu.copy(this.#rows(firstRow, rows), sliceOf(rows, 0, rows.length))
  }

  release(): void {
    this.features.release()
  }

  #rows(firstRow: number, { length }: GpuArray<'f32'>) {
    return sliceOf(this.features, firstRow * this.p, length)
  }
}

/** Features too many for memory, in a file of the system's folder for temporary ones. */
export class FileStore implements FeatureStore {
  readonly #folder: string
  readonly #file: number

  constructor(
    private readonly gpu: Gpu,
    private readonly n: number,
    private readonly p: number,
  ) {
    this.#folder = mkdtempSync(path.join(tmpdir(), 'gramgrad-features-'))
    this.#file = openSync(path.join(this.#folder, 'features.f32'), 'w+')
  }

  readonly features = (first: number, count: number): Float32Array => {
    const values = new Float32Array(this.n * count)
    for (let row = 0; row < this.n; row++)
      this.#transfer(
        readSync,
        values.subarray(row * count, (row + 1) * count),
        row * this.p + first,
      )
    return values
  }

  async write(firstRow: number, rows: GpuArray<'f32'>): Promise<void> {
    this.#transfer(writeSync, await this.gpu.read(rows), firstRow * this.p)
  }

  read(firstRow: number, rows: GpuArray<'f32'>): void {
    const values = new Float32Array(rows.length)
    this.#transfer(readSync, values, firstRow * this.p)
    this.gpu.write(rows, values)
  }

  release(): void {
    closeSync(this.#file)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Reads or writes all values at an element of the file. */
  #transfer(call: Transfer, values: Float32Array, element: number): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    for (let done = 0; done < bytes.length; ) {
      const part = call(this.#file, bytes, done, bytes.length - done, 4 * element + done)
      if (part === 0) throw new Error(`${this.#folder} lost the features that were written there`)
      done += part
    }
  }
}
