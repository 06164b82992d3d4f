import { readSync, writeSync } from 'node:fs'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { HostWindow } from '../gpu/hostWindow.ts'
import type { FeatureReader } from './featureNetwork.ts'
import type { ScratchFiles } from './scratchFiles.ts'
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
  /** All of them, or how to read some of every row. */
  readonly features: GpuArray<'f32'> | FeatureReader
  /** Takes the rows from `firstRow` on. */
  write(firstRow: number, rows: GpuArray<'f32'>): Promise<void>
  /** Fills an array with the rows from `firstRow` on. */
  read(firstRow: number, rows: GpuArray<'f32'>): Promise<void>
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

  async read(firstRow: number, rows: GpuArray<'f32'>): Promise<void> {
    this.gpu.copy(this.#rows(firstRow, rows), sliceOf(rows, 0, rows.length))
  }

  release(): void {
    this.features.release()
  }

  #rows(firstRow: number, { length }: GpuArray<'f32'>) {
    return sliceOf(this.features, firstRow * this.p, length)
  }
}

/** Features too many for memory, in a temporary file. */
export class FileStore implements FeatureStore {
  readonly #file: number

  /** @param window what rows pass through on their way */
  constructor(
    private readonly window: HostWindow,
    private readonly files: ScratchFiles,
    private readonly n: number,
    private readonly p: number,
  ) {
    this.#file = files.take()
  }

  readonly features: FeatureReader = (first, count, values) => {
    for (let row = 0; row < this.n; row++)
      this.#transfer(
        readSync,
        values.subarray(row * count, (row + 1) * count),
        row * this.p + first,
      )
  }

  async write(firstRow: number, rows: GpuArray<'f32'>): Promise<void> {
    await this.window.read(rows, (values) => this.#transfer(writeSync, values, firstRow * this.p))
  }

  async read(firstRow: number, rows: GpuArray<'f32'>): Promise<void> {
    await this.window.write(rows, (values) => this.#transfer(readSync, values, firstRow * this.p))
  }

  release(): void {
    this.files.give(this.#file)
  }

  /** Reads or writes all values at an element of the file. */
  #transfer(call: Transfer, values: Float32Array, element: number): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    for (let done = 0; done < bytes.length; ) {
      const part = call(this.#file, bytes, done, bytes.length - done, 4 * element + done)
      if (part === 0) throw new Error('a temporary file lost the features that were written there')
      done += part
    }
  }
}
