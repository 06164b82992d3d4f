import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

export interface SgdOptions {
  /** Weight of the velocity, in [0, 1). */
  readonly momentum: number
  readonly nesterov: boolean
  /** Coupled L2 decay of the groups that decay: added to the gradient before momentum. */
  readonly weightDecay: number
}

/** @throws Error naming the option that is out of range */
export function checkSgdOptions({ momentum, weightDecay }: SgdOptions): void {
  if (!(momentum >= 0 && momentum < 1))
    throw new Error(`sgd: momentum is ${momentum}, expected a number in [0, 1)`)
  if (!(weightDecay >= 0 && Number.isFinite(weightDecay)))
    throw new Error(`sgd: weightDecay is ${weightDecay}, expected a number of at least 0`)
}

/** Parameters and gradients that lie one behind the other, in equal layout. */
export interface OptimisedGroup {
  readonly decay: boolean
  readonly values: GpuArray<'f32'>
  readonly gradients: GpuArray<'f32'>
}

/**
 * SGD with momentum in PyTorch's form: v = momentum v + g, then w -= lr (g + momentum v) with
 * Nesterov, w -= lr v without; the first step has v = g.
 */
export class Sgd {
  /** Velocity of each group, in its layout. */
  readonly velocities: readonly GpuArray<'f32'>[]

  /** @throws Error naming the option that is out of range */
  constructor(
    private readonly gpu: Gpu,
    private readonly groups: readonly OptimisedGroup[],
    private readonly options: SgdOptions,
  ) {
    checkSgdOptions(options)
    this.velocities = groups.map(({ values }) => gpu.zeros('f32', values.shape, 'velocity'))
  }

  /** Updates all parameters in place. @param rate [1], the learning rate of this step */
  step(rate: GpuArray<'f32'>): void {
    const { momentum, nesterov, weightDecay } = this.options
    for (const [i, { decay, values, gradients }] of this.groups.entries())
      this.gpu.dispatch(kernels.sgd_momentum, {
        ...elementwiseCall(this.gpu, values, {
          momentum,
          weightDecay: decay ? weightDecay : 0,
        }),
        conditions: { NESTEROV: nesterov },
        buffers: { rate, g: gradients, v: this.velocities[i]!, w: values },
      })
  }

  release(): void {
    for (const velocity of this.velocities) velocity.release()
  }
}
