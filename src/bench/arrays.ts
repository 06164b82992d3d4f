import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { fillUniform } from '../gpu/randomFill.ts'
import { streams } from '../random/streams.ts'

/** Arrays that a benchmark's cases read, given back together. */
export class BenchArrays {
  readonly #arrays: GpuArray[] = []

  constructor(private readonly gpu: Gpu) {}

  /** An array of uniform numbers in [0, 1). */
  uniform(shape: readonly number[]): GpuArray<'f32'> {
    const array = this.gpu.empty('f32', shape, 'benchmark input')
    fillUniform(this.gpu, array, { seed: 0, stream: streams.init })
    this.#arrays.push(array)
    return array
  }

  /** Labels 0, 1, ... below `classes`, in turn. */
  labels(examples: number, classes: number): GpuArray<'u32'> {
    const host = Uint32Array.from({ length: examples }, (_, i) => i % classes)
    return this.keep(this.gpu.upload('u32', [examples], host, 'labels'))
  }

  /** An array that is to be released with the others. */
  keep<A extends GpuArray>(array: A): A {
    this.#arrays.push(array)
    return array
  }

  release(): void {
    for (const array of this.#arrays) array.release()
  }
}
