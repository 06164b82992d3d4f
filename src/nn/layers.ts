import { batchNorm } from '../autograd/ops/batchNorm.ts'
import { conv2d } from '../autograd/ops/conv2d.ts'
import { linear } from '../autograd/ops/linear.ts'
import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import type { RandomStream } from '../random/randomStream.ts'
import type { Parameter, ParameterSet, StateBuffer } from './parameters.ts'

/** A convolution without bias, with torchvision's initialisation. */
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
    },
  ) {
    const { inChannels, outChannels, size } = options
    // torchvision: kaiming_normal_(mode='fan_out', nonlinearity='relu'); He et al. 2015.
    const deviation = Math.sqrt(2 / (size * size * outChannels))
    this.weight = set.declare({
      name: `${name}.weight`,
      shape: [size, size, inChannels, outChannels],
      layout: 'hwio',
      decay: true,
      initial: (stream, index) => deviation * stream.normal(index),
    })
  }

  /** x [N, H, W, Ci] -> [N, OH, OW, Co]. */
  forward(tape: Tape, x: Tensor): Tensor {
    const { stride = 1, padding = 0 } = this.options
    return conv2d(tape, { x, weight: this.weight.value }, { stride, padding })
  }
}

/** Batch norm over N, H, W with PyTorch's eps 1e-5 and momentum 0.1. */
export class BatchNorm2d {
  readonly gamma: Parameter
  readonly beta: Parameter
  readonly runningMean: StateBuffer
  readonly runningVar: StateBuffer

  /** @param gamma initial value of gamma: 1, or 0 for the last one of a residual block */
  constructor(set: ParameterSet, name: string, channels: number, gamma = 1) {
    const vector = { shape: [channels], layout: 'vector', decay: false } as const
    this.gamma = set.declare({ ...vector, name: `${name}.weight`, initial: () => gamma })
    this.beta = set.declare({ ...vector, name: `${name}.bias`, initial: () => 0 })
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
        momentum: 0.1,
        runningMean: this.runningMean.value,
        runningVar: this.runningVar.value,
      },
    )
  }
}

/** A fully connected layer with PyTorch's default initialisation. */
export class Linear {
  readonly weight: Parameter
  readonly bias: Parameter

  /** @param initialBias of every output; without it as nn.Linear draws it */
  constructor(
    set: ParameterSet,
    name: string,
    inFeatures: number,
    outFeatures: number,
    initialBias?: number,
  ) {
    // nn.Linear: uniform in +-1/sqrt(fan_in) for weight and bias alike.
    const bound = 1 / Math.sqrt(inFeatures)
    const initial = (stream: RandomStream, index: number) => bound * (2 * stream.uniform(index) - 1)
    this.weight = set.declare({
      name: `${name}.weight`,
      shape: [inFeatures, outFeatures],
      layout: 'in-out',
      decay: true,
      initial,
    })
    this.bias = set.declare({
      name: `${name}.bias`,
      shape: [outFeatures],
      layout: 'vector',
      decay: false,
      initial: initialBias === undefined ? initial : () => initialBias,
    })
  }

  /** x [N, in] -> [N, out]. */
  forward(tape: Tape, x: Tensor): Tensor {
    return linear(tape, { x, weight: this.weight.value, bias: this.bias.value }, {})
  }
}
