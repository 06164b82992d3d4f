import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { clipGradients } from './clip.ts'

export interface SgdOptions {
  /** Weight of the velocity, in [0, 1). */
  readonly momentum: number
  readonly nesterov: boolean
  /** Coupled L2 decay of the groups that decay: added to the gradient before momentum. */
  readonly weightDecay: number
  /** Largest norm of all gradients together; a larger one is scaled down first. Default: none. */
  readonly clipNorm?: number
}

/** @throws Error naming the option that is out of range */
export function checkSgdOptions({ momentum, weightDecay, clipNorm }: SgdOptions): void {
  if (!(momentum >= 0 && momentum < 1))
    throw new Error(`sgd: momentum is ${momentum}, expected a number in [0, 1)`)
  if (!(weightDecay >= 0 && Number.isFinite(weightDecay)))
    throw new Error(`sgd: weightDecay is ${weightDecay}, expected a number of at least 0`)
  if (clipNorm !== undefined && !(clipNorm > 0))
    throw new Error(`sgd: clipNorm is ${clipNorm}, expected a number above 0`)
}

/** Parameters and gradients that lie one behind the other, in equal layout. */
export interface OptimisedGroup {
  readonly decay: boolean
  readonly values: GpuArray<'f32'>
  readonly gradients: GpuArray<'f32'> | undefined
}

/**
 * SGD with momentum in PyTorch's form: v = momentum v + g, then w -= lr (g + momentum v) with
 * Nesterov, w -= lr v without; the first step has v = g.
 */
export class Sgd {
  /** Velocity of each group, in its layout. */
  readonly velocities: readonly GpuArray<'f32'>[]
  readonly #gradients: readonly GpuArray<'f32'>[]

  /** @throws Error naming the option that is out of range, or where a group has no gradients */
  constructor(
    private readonly gpu: Gpu,
    private readonly groups: readonly OptimisedGroup[],
    private readonly options: SgdOptions,
  ) {
    checkSgdOptions(options)
    this.#gradients = groups.map(({ gradients }) => {
      if (!gradients) throw new Error('sgd: a group of parameters has no gradients')
      return gradients
    })
    this.velocities = groups.map(({ values }) => gpu.zeros('f32', values.shape, 'velocity'))
  }

  /** Updates all parameters in place. @param rate [1], the learning rate of this step */
  step(rate: GpuArray<'f32'>): void {
    const { momentum, nesterov, weightDecay, clipNorm } = this.options
    if (clipNorm !== undefined) clipGradients(this.gpu, this.#gradients, clipNorm)
    for (const [i, { decay, values }] of this.groups.entries())
      this.gpu.dispatch(kernels.sgd_momentum, {
        ...elementwiseCall(this.gpu, values, {
          momentum,
          weightDecay: decay ? weightDecay : 0,
        }),
        conditions: { NESTEROV: nesterov },
        buffers: { rate, g: this.#gradients[i]!, v: this.velocities[i]!, w: values },
      })
  }

  /** Sets all gradients to zero. */
  clearGradients(): void {
    for (const gradient of this.#gradients) this.gpu.clear(gradient)
  }

  release(): void {
    for (const velocity of this.velocities) velocity.release()
  }
}
