import { globalAvgPool } from '../autograd/ops/globalAvgPool.ts'
import { maxPool2d } from '../autograd/ops/maxPool2d.ts'
import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { BatchNorm2d, Conv2d, Linear } from './layers.ts'
import { ParameterSet } from './parameters.ts'

const EXPANSION = 4

/** Blocks of each of the four stages of ResNet-50 (He et al. 2016, Table 1). */
const RESNET50_BLOCKS = [3, 4, 6, 3] as const

/** What becomes of the penultimate features; an objective of `losses` is one. */
export interface Head {
  /** Initial value of the last layer's bias; without it as nn.Linear draws it. */
  readonly initialBias?: number
  /** Features [N, M] -> logits [N, K], by the last layer's weight [M, K] and bias [K]. */
  logits(tape: Tape, features: Tensor, layer: { weight: Tensor; bias: Tensor }): Tensor
}

export interface ResNetOptions {
  /** Classes of the last layer. */
  readonly classes: number
  /** Factor of every channel count; 1 is the published network. Default 1. */
  readonly width?: number
  /** Seed of the initial weights. Default 0. */
  readonly seed?: number
  /** How the last layer is used. Default: features x weight + bias. */
  readonly head?: Head
}

export interface ForwardOptions {
  /** Whether batch norm normalises by the batch and updates its running statistics. */
  readonly training: boolean
  /** Told of each layer's output: the 16 blocks, `layer1.0` to `layer4.2`, then `avgpool`. */
  readonly onLayer?: (name: string, output: Tensor) => void
}

/** 1x1, 3x3, 1x1 with the stride on the 3x3 (v1.5), batch norm after each, and a shortcut. */
class Bottleneck {
  readonly #conv1: Conv2d
  readonly #bn1: BatchNorm2d
  readonly #conv2: Conv2d
  readonly #bn2: BatchNorm2d
  readonly #conv3: Conv2d
  readonly #bn3: BatchNorm2d
  readonly #shortcut: { conv: Conv2d; bn: BatchNorm2d } | undefined

  constructor(set: ParameterSet, name: string, inChannels: number, planes: number, stride: number) {
    const outChannels = planes * EXPANSION
    const conv = (suffix: string, i: number, o: number, k: number, s: number) =>
      new Conv2d(set, `${name}.${suffix}`, {
        inChannels: i,
        outChannels: o,
        size: k,
        stride: s,
        padding: (k - 1) / 2,
      })
    this.#conv1 = conv('conv1', inChannels, planes, 1, 1)
    this.#bn1 = new BatchNorm2d(set, `${name}.bn1`, planes)
    this.#conv2 = conv('conv2', planes, planes, 3, stride)
    this.#bn2 = new BatchNorm2d(set, `${name}.bn2`, planes)
    this.#conv3 = conv('conv3', planes, outChannels, 1, 1)
    // A block starts as its shortcut: gamma 0 (Goyal et al. 2017).
    this.#bn3 = new BatchNorm2d(set, `${name}.bn3`, outChannels, 0)
    if (stride !== 1 || inChannels !== outChannels)
      this.#shortcut = {
        conv: conv('downsample.0', inChannels, outChannels, 1, stride),
        bn: new BatchNorm2d(set, `${name}.downsample.1`, outChannels),
      }
  }

  forward(tape: Tape, x: Tensor, training: boolean): Tensor {
    return tape.scope(() => {
      const shortcut = this.#shortcut
      const residual = shortcut
        ? shortcut.bn.forward(tape, shortcut.conv.forward(tape, x), { training })
        : x
      let y = this.#bn1.forward(tape, this.#conv1.forward(tape, x), { training, relu: true })
      y = this.#bn2.forward(tape, this.#conv2.forward(tape, y), { training, relu: true })
      return this.#bn3.forward(tape, this.#conv3.forward(tape, y), {
        training,
        relu: true,
        residual,
      })
    })
  }
}

/**
 * ResNet-50 v1.5 with torchvision's topology and parameter names, NHWC.
 *
 * 7x7 stride 2 stem, 3x3 stride 2 max pool, bottlenecks 3-4-6-3, global average pool, linear layer.
 */
export class ResNet {
  readonly parameters = new ParameterSet()
  readonly classes: number
  readonly width: number
  /** Names of the layers that `onLayer` reports, in order. */
  readonly layerNames: readonly string[]
  /** Penultimate features. */
  readonly features: number
  readonly #stem: Conv2d
  readonly #stemNorm: BatchNorm2d
  readonly #blocks: { name: string; block: Bottleneck }[] = []
  readonly #fc: Linear
  readonly #head: Head | undefined

  constructor(options: ResNetOptions) {
    const { classes, width = 1 } = options
    if (!Number.isInteger(classes) || classes < 1)
      throw new Error(`resnet50: classes is ${classes}, expected an integer of at least 1`)
    if (!(width > 0 && Number.isFinite(width)))
      throw new Error(`resnet50: width is ${width}, expected a number above 0`)
    this.classes = classes
    this.width = width
    const planes = Math.max(1, Math.round(64 * width))
    const set = this.parameters
    this.#stem = new Conv2d(set, 'conv1', {
      inChannels: 3,
      outChannels: planes,
      size: 7,
      stride: 2,
      padding: 3,
    })
    this.#stemNorm = new BatchNorm2d(set, 'bn1', planes)
    let channels = planes
    for (const [stage, blocks] of RESNET50_BLOCKS.entries())
      for (let i = 0; i < blocks; i++) {
        const name = `layer${stage + 1}.${i}`
        const stride = stage > 0 && i === 0 ? 2 : 1
        const block = new Bottleneck(set, name, channels, planes * 2 ** stage, stride)
        this.#blocks.push({ name, block })
        channels = planes * 2 ** stage * EXPANSION
      }
    this.features = channels
    this.layerNames = [...this.#blocks.map(({ name }) => name), 'avgpool']
    this.#fc = new Linear(set, 'fc', channels, classes, options.head?.initialBias)
    this.#head = options.head
  }

  /** Weight [features, classes] and bias [classes] of the last layer. */
  get lastLayer(): { readonly weight: Tensor; readonly bias: Tensor } {
    return { weight: this.#fc.weight.value, bias: this.#fc.bias.value }
  }

  /**
   * x [N, H, W, 3] -> logits [N, classes].
   *
   * @throws Error when x has not three channels
   */
  forward(tape: Tape, x: Tensor, options: ForwardOptions): Tensor {
    const features = this.penultimate(tape, x, options)
    return this.#head?.logits(tape, features, this.lastLayer) ?? this.#fc.forward(tape, features)
  }

  /**
   * x [N, H, W, 3] -> penultimate features [N, features].
   *
   * @throws Error when x has not three channels
   */
  penultimate(tape: Tape, x: Tensor, { training, onLayer }: ForwardOptions): Tensor {
    if (x.shape.length !== 4 || x.shape[3] !== 3)
      throw new Error(`resnet50: images are [${x.shape}], expected [N, H, W, 3]`)
    let y = tape.scope(() => {
      const stem = this.#stemNorm.forward(tape, this.#stem.forward(tape, x), {
        training,
        relu: true,
      })
      return maxPool2d(tape, { x: stem }, { size: 3, stride: 2, padding: 1 })
    })
    for (const { name, block } of this.#blocks) {
      y = block.forward(tape, y, training)
      onLayer?.(name, y)
    }
    const features = globalAvgPool(tape, { x: y }, {})
    onLayer?.('avgpool', features)
    return features
  }
}

/** A ResNet-50 with memory and initial weights on `gpu`. */
export function resnet50(gpu: Gpu, options: ResNetOptions): ResNet {
  const model = new ResNet(options)
  model.parameters.allocate(gpu, options.seed ?? 0)
  return model
}
