import { GpuError } from './errors.ts'

/** One device buffer, or texture, with a count of the arrays that use it. */
export class Storage<R extends GPUBuffer | GPUTexture = GPUBuffer> {
  #uses = 1

  constructor(
    readonly resource: R,
    readonly size: number,
    /** What its user calls it; the resource may have had another use before. */
    readonly label: string,
    private readonly recycle: (storage: Storage<R>) => void,
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
