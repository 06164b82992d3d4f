import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import type { Initialisation } from './initialisation.ts'
import { BatchNorm2d, Conv2d } from './layers.ts'
import type { ParameterSet } from './parameters.ts'

/** How a residual block is built. */
export interface BlockOptions {
  readonly inChannels: number
  /** Channels of the 3x3 convolution. */
  readonly planes: number
  readonly stride: number
  readonly init: Initialisation
  /** Initial gamma of the last batch norm: 0 makes the block start as its shortcut. */
  readonly lastGamma: number
}

/** A residual block: x [N, H, W, C] -> [N, H / stride, W / stride, planes * expansion]. */
export interface ResidualBlock {
  forward(tape: Tape, x: Tensor, training: boolean): Tensor
}

interface Shortcut {
  readonly conv: Conv2d
  readonly bn: BatchNorm2d
}

function convolution(
  set: ParameterSet,
  name: string,
  [inChannels, outChannels]: readonly [number, number],
  size: number,
  stride: number,
  init: Initialisation,
): Conv2d {
  const padding = (size - 1) / 2
  return new Conv2d(set, name, { inChannels, outChannels, size, stride, padding, init })
}

/** A 1x1 convolution and batch norm where the block changes the shape, else nothing. */
function shortcutOf(
  set: ParameterSet,
  name: string,
  { inChannels, stride, init }: BlockOptions,
  outChannels: number,
): Shortcut | undefined {
  if (stride === 1 && inChannels === outChannels) return undefined
  const channels = [inChannels, outChannels] as const
  return {
    conv: convolution(set, `${name}.downsample.0`, channels, 1, stride, init),
    bn: new BatchNorm2d(set, `${name}.downsample.1`, outChannels),
  }
}

function shortcutOutput(
  tape: Tape,
  shortcut: Shortcut | undefined,
  x: Tensor,
  training: boolean,
): Tensor {
  return shortcut ? shortcut.bn.forward(tape, shortcut.conv.forward(tape, x), { training }) : x
}

/** Two 3x3 convolutions (ResNet-18 and -34), batch norm after each, and a shortcut. */
export class BasicBlock implements ResidualBlock {
  static readonly expansion = 1
  readonly #conv1: Conv2d
  readonly #bn1: BatchNorm2d
  readonly #conv2: Conv2d
  readonly #bn2: BatchNorm2d
  readonly #shortcut: Shortcut | undefined

  constructor(set: ParameterSet, name: string, options: BlockOptions) {
    const { inChannels, planes, stride, init, lastGamma } = options
    this.#conv1 = convolution(set, `${name}.conv1`, [inChannels, planes], 3, stride, init)
    this.#bn1 = new BatchNorm2d(set, `${name}.bn1`, planes)
    this.#conv2 = convolution(set, `${name}.conv2`, [planes, planes], 3, 1, init)
    this.#bn2 = new BatchNorm2d(set, `${name}.bn2`, planes, lastGamma)
    this.#shortcut = shortcutOf(set, name, options, planes)
  }

  forward(tape: Tape, x: Tensor, training: boolean): Tensor {
    return tape.scope(() => {
      const residual = shortcutOutput(tape, this.#shortcut, x, training)
      const y = this.#bn1.forward(tape, this.#conv1.forward(tape, x), { training, relu: true })
      const mode = { training, relu: true, residual }
      return this.#bn2.forward(tape, this.#conv2.forward(tape, y), mode)
    })
  }
}

/** 1x1, 3x3, 1x1 with the stride on the 3x3 (v1.5), batch norm after each, and a shortcut. */
export class Bottleneck implements ResidualBlock {
  static readonly expansion = 4
  readonly #conv1: Conv2d
  readonly #bn1: BatchNorm2d
  readonly #conv2: Conv2d
  readonly #bn2: BatchNorm2d
  readonly #conv3: Conv2d
  readonly #bn3: BatchNorm2d
  readonly #shortcut: Shortcut | undefined

  constructor(set: ParameterSet, name: string, options: BlockOptions) {
    const { inChannels, planes, stride, init, lastGamma } = options
    const outChannels = planes * Bottleneck.expansion
    this.#conv1 = convolution(set, `${name}.conv1`, [inChannels, planes], 1, 1, init)
    this.#bn1 = new BatchNorm2d(set, `${name}.bn1`, planes)
    this.#conv2 = convolution(set, `${name}.conv2`, [planes, planes], 3, stride, init)
    this.#bn2 = new BatchNorm2d(set, `${name}.bn2`, planes)
    this.#conv3 = convolution(set, `${name}.conv3`, [planes, outChannels], 1, 1, init)
    this.#bn3 = new BatchNorm2d(set, `${name}.bn3`, outChannels, lastGamma)
    this.#shortcut = shortcutOf(set, name, options, outChannels)
  }

  forward(tape: Tape, x: Tensor, training: boolean): Tensor {
    return tape.scope(() => {
      const residual = shortcutOutput(tape, this.#shortcut, x, training)
      let y = this.#bn1.forward(tape, this.#conv1.forward(tape, x), { training, relu: true })
      y = this.#bn2.forward(tape, this.#conv2.forward(tape, y), { training, relu: true })
      const mode = { training, relu: true, residual }
      return this.#bn3.forward(tape, this.#conv3.forward(tape, y), mode)
    })
  }
}
