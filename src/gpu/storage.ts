import { GpuError } from './errors.ts'

/** One device buffer with a count of the arrays that use it. */
export class Storage {
  #uses = 1

  constructor(
    readonly buffer: GPUBuffer,
    readonly size: number,
    /** What its user calls it; the buffer may have had another use before. */
    readonly label: string,
    private readonly recycle: (storage: Storage) => void,
  ) {}

  get uses(): number {
    return this.#uses
  }

  retain(): void {
    if (this.#uses === 0) throw new GpuError(`array ${this.label} was already released`)
    this.#uses++
  }

  release(): void {
    if (this.#uses === 0) throw new GpuError(`array ${this.label} was released twice`)
    this.#uses--
    if (this.#uses === 0) this.recycle(this)
  }
}
