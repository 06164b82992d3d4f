import { GpuArray } from './gpuArray.ts'
import { Storage } from './storage.ts'

/** Scalars [1] by their value, each in a buffer of its own that lives as long as the device. */
export class Constants {
  readonly #storages = new Map<number, Storage>()

  constructor(private readonly device: GPUDevice) {}

  /** An array of this value, for reading only: its storage is held here too, so that nobody takes it for its own. */
  get(value: number): GpuArray<'f32'> {
    let storage = this.#storages.get(value)
    if (!storage) {
      const { STORAGE, COPY_SRC } = GPUBufferUsage
      const [label, size] = [`constant ${value}`, 256]
      const usage = STORAGE | COPY_SRC
      const buffer = this.device.createBuffer({ label, size, usage, mappedAtCreation: true })
      new Float32Array(buffer.getMappedRange())[0] = value
      buffer.unmap()
      storage = new Storage(buffer, size, label, () => {})
      this.#storages.set(value, storage)
    }
    return new GpuArray('f32', [1], storage).retain()
  }

  has(array: GpuArray, value: number): boolean {
    return this.#storages.get(value) === array.storage
  }
}
