import { batchNorm } from '../autograd/ops/batchNorm.ts'
import { conv2d } from '../autograd/ops/conv2d.ts'
import { linear } from '../autograd/ops/linear.ts'
import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import {
  constant,
  convolutionWeights,
  type Initialisation,
  linearValues,
} from './initialisation.ts'
import type { Parameter, ParameterSet, StateBuffer } from './parameters.ts'

/** A convolution without bias. */
export class Conv2d {
  readonly weight: Parameter

  constructor(
    set: ParameterSet,
    name: string,
    private readonly options: {
      readonly inChannels: number
      readonly outChannels: number
      readonly size: number
      readonly stride?: number
      readonly padding?: number
      readonly init: Initialisation
    },
  ) {
    const { inChannels, outChannels, size, init } = options
    const taps = size * size
    this.weight = set.declare({
      name: `${name}.weight`,
      shape: [size, size, inChannels, outChannels],
      layout: 'hwio',
      decay: true,
      initial: convolutionWeights(init, { fanIn: taps * inChannels, fanOut: taps * outChannels }),
    })
  }

  /** x [N, H, W, Ci] -> [N, OH, OW, Co]. */
  forward(tape: Tape, x: Tensor): Tensor {
    const { stride = 1, padding = 0 } = this.options
    return conv2d(tape, { x, weight: this.weight.value }, { stride, padding })
  }
}

/** What one batch weighs in batch norm's running statistics, PyTorch's default. */
export const BATCH_NORM_MOMENTUM = 0.1

/** Batch norm over N, H, W with PyTorch's eps 1e-5 and momentum 0.1. */
export class BatchNorm2d {
  readonly gamma: Parameter
  readonly beta: Parameter
  readonly runningMean: StateBuffer
  readonly runningVar: StateBuffer

  /** @param gamma initial value of gamma: 1, or 0 for the last one of a residual block */
  constructor(set: ParameterSet, name: string, channels: number, gamma = 1) {
    const vector = { shape: [channels], layout: 'vector', decay: false } as const
    this.gamma = set.declare({ ...vector, name: `${name}.weight`, initial: constant(gamma) })
    this.beta = set.declare({ ...vector, name: `${name}.bias`, initial: constant(0) })
    const shape = [channels]
    this.runningMean = set.declareBuffer({ name: `${name}.running_mean`, shape, initial: 0 })
    this.runningVar = set.declareBuffer({ name: `${name}.running_var`, shape, initial: 1 })
  }

  /** x [N, H, W, C], the same shape out; optionally + residual, then ReLU. */
  forward(
    tape: Tape,
    x: Tensor,
    mode: { readonly training: boolean; readonly relu?: boolean; readonly residual?: Tensor },
  ): Tensor {
    const { training, relu = false, residual } = mode
    return batchNorm(
      tape,
      { x, gamma: this.gamma.value, beta: this.beta.value, residual },
      {
        training,
        relu,
        eps: 1e-5,
        momentum: BATCH_NORM_MOMENTUM,
        runningMean: this.runningMean.value,
        runningVar: this.runningVar.value,
      },
    )
  }
}

/** A fully connected layer. */
export class Linear {
  readonly weight: Parameter
  readonly bias: Parameter

  /** @param initialBias of every output; without it as `init` draws it */
  constructor(
    set: ParameterSet,
    name: string,
    shape: { readonly inFeatures: number; readonly outFeatures: number },
    init: Initialisation,
    initialBias?: number,
  ) {
    const { inFeatures, outFeatures } = shape
    const initial = linearValues(init, inFeatures)
    this.weight = set.declare({
      name: `${name}.weight`,
      shape: [inFeatures, outFeatures],
      layout: 'in-out',
      decay: true,
      initial: initial.weight,
    })
    this.bias = set.declare({
      name: `${name}.bias`,
      shape: [outFeatures],
      layout: 'vector',
      decay: false,
      initial: initialBias === undefined ? initial.bias : constant(initialBias),
    })
  }

  /** x [N, in] -> [N, out]. */
  forward(tape: Tape, x: Tensor): Tensor {
    return linear(tape, { x, weight: this.weight.value, bias: this.bias.value }, {})
  }
}
