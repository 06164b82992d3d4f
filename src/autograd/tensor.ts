import type { GpuArray } from '../gpu/gpuArray.ts'

/** A float array in a computation, which may want a gradient. */
export class Tensor {
  /**
   * Gradient of the last `backward`, in the shape of the value. A tensor made with a gradient array
   * (a parameter) has its gradient written there; another leaf gets one when it is first needed.
   */
  gradient: GpuArray<'f32'> | undefined

  constructor(
    readonly value: GpuArray<'f32'>,
    readonly requiresGrad = false,
    gradient?: GpuArray<'f32'>,
    /** False for what an op computed: its gradient is dropped once it was passed on. */
    readonly isLeaf = true,
  ) {
    this.gradient = gradient
  }

  get shape(): readonly number[] {
    return this.value.shape
  }
}
