import { globalAvgPool } from '../autograd/ops/globalAvgPool.ts'
import { maxPool2d } from '../autograd/ops/maxPool2d.ts'
import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { Initialisation } from './initialisation.ts'
import { BatchNorm2d, Conv2d, Linear } from './layers.ts'
import { ParameterSet } from './parameters.ts'
import { BasicBlock, Bottleneck, type ResidualBlock } from './residualBlocks.ts'

/** Block and number of blocks of each of the four stages (He et al. 2016, Table 1). */
export const architectures = {
  resnet18: { block: BasicBlock, stages: [2, 2, 2, 2] },
  resnet34: { block: BasicBlock, stages: [3, 4, 6, 3] },
  resnet50: { block: Bottleneck, stages: [3, 4, 6, 3] },
  resnet101: { block: Bottleneck, stages: [3, 4, 23, 3] },
  resnet152: { block: Bottleneck, stages: [3, 8, 36, 3] },
} as const

export type Architecture = keyof typeof architectures

/** First layers: 7x7 stride 2 and a max pool, or for small images 3x3 stride 1 and no pool. */
export const stems = ['imagenet', 'small'] as const

/** Where the max pool of the stem looks: padding of one on all sides, or TensorFlow's SAME. */
export const poolings = ['torchvision', 'tf-same'] as const

/** What becomes of the penultimate features; an objective of `losses` is one. */
export interface Head {
  /** Initial value of the last layer's bias; without it as nn.Linear draws it. */
  readonly initialBias?: number
  /** Whether class 0 is a background class, which no image is of and nothing ranks (D8). */
  readonly background?: boolean
  /** Features [N, M] -> logits [N, K], by the last layer's weight [M, K] and bias [K]. */
  logits(tape: Tape, features: Tensor, layer: { weight: Tensor; bias: Tensor }): Tensor
}

export interface ResNetOptions {
  /** Default resnet50. */
  readonly arch?: Architecture
  /** Classes of the last layer. */
  readonly classes: number
  /** Factor of every channel count; 1 is the published network. Default 1. */
  readonly width?: number
  /** Default imagenet. */
  readonly stem?: (typeof stems)[number]
  /** Default torchvision. */
  readonly pool?: (typeof poolings)[number]
  /** Default torchvision. */
  readonly init?: Initialisation
  /** Whether each block starts as its shortcut: last gamma 0 (Goyal et al. 2017). Default true. */
  readonly zeroGamma?: boolean
  /** Seed of the initial weights. Default 0. */
  readonly seed?: number
  /** How the last layer is used. Default: features x weight + bias. */
  readonly head?: Head
}

export interface ForwardOptions {
  /** Whether batch norm normalises by the batch and updates its running statistics. */
  readonly training: boolean
  /** Told of each layer's output: the blocks, `layer1.0` and on, then `avgpool`. */
  readonly onLayer?: (name: string, output: Tensor) => void
}

/**
 * A ResNet (v1.5: the stride on the 3x3) with torchvision's topology and parameter names, NHWC: stem,
 * four stages of residual blocks, global average pool, linear layer.
 */
export class ResNet {
  readonly parameters = new ParameterSet()
  readonly classes: number
  readonly width: number
  readonly architecture: Architecture
  /** Names of the layers that `onLayer` reports, in order. */
  readonly layerNames: readonly string[]
  /** Penultimate features. */
  readonly features: number
  readonly #stem: Conv2d
  readonly #stemNorm: BatchNorm2d
  readonly #pool: (typeof poolings)[number] | undefined
  readonly #small: boolean
  readonly #expansion: number
  readonly #blocks: { name: string; block: ResidualBlock }[] = []
  readonly #fc: Linear
  readonly #head: Head | undefined

  /** @throws Error naming the option that is out of range */
  constructor(private readonly options: ResNetOptions) {
    const { arch = 'resnet50', classes, width = 1, stem = 'imagenet' } = options
    const { pool = 'torchvision', init = 'torchvision', zeroGamma = true } = options
    if (!Number.isInteger(classes) || classes < 1)
      throw new Error(`${arch}: classes is ${classes}, expected an integer of at least 1`)
    if (!(width > 0 && Number.isFinite(width)))
      throw new Error(`${arch}: width is ${width}, expected a number above 0`)
    this.architecture = arch
    this.classes = classes
    this.width = width
    const { block: Block, stages } = architectures[arch]
    const planes = Math.max(1, Math.round(64 * width))
    const set = this.parameters
    const small = stem === 'small'
    this.#stem = new Conv2d(set, 'conv1', {
      inChannels: 3,
      outChannels: planes,
      size: small ? 3 : 7,
      stride: small ? 1 : 2,
      padding: small ? 1 : 3,
      init,
    })
    this.#stemNorm = new BatchNorm2d(set, 'bn1', planes)
    this.#pool = small ? undefined : pool
    this.#small = small
    this.#expansion = Block.expansion
    let inChannels = planes
    for (const [stage, blocks] of stages.entries())
      for (let i = 0; i < blocks; i++) {
        const name = `layer${stage + 1}.${i}`
        const block = new Block(set, name, {
          inChannels,
          planes: planes * 2 ** stage,
          stride: stage > 0 && i === 0 ? 2 : 1,
          init,
          lastGamma: zeroGamma ? 0 : 1,
        })
        this.#blocks.push({ name, block })
        inChannels = planes * 2 ** stage * Block.expansion
      }
    this.features = inChannels
    this.layerNames = [...this.#blocks.map(({ name }) => name), 'avgpool']
    const shape = { inFeatures: inChannels, outFeatures: classes }
    this.#fc = new Linear(set, 'fc', shape, init, options.head?.initialBias)
    this.#head = options.head
  }

  /** Floats of the largest array of a forward pass over one image of this size. */
  largestActivation(height: number, width: number): number {
    const stemStride = this.#small ? 1 : 2
    const pooled = this.#small ? 1 : 4
    const pixels = (stride: number) => Math.ceil(height / stride) * Math.ceil(width / stride)
    const stem = this.#stem.weight.spec.shape[3]!
    return Math.max(pixels(stemStride) * stem, pixels(pooled) * stem * this.#expansion)
  }

  /** An equal network that has no memory yet. */
  withoutMemory(): ResNet {
    return new ResNet(this.options)
  }

  /** The first class that ranks: 1 behind a background class. */
  get firstClass(): number {
    return this.#head?.background ? 1 : 0
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
    let y = x
    for (const [i, name] of this.layerNames.entries()) {
      y = this.layer(tape, i, y, training)
      onLayer?.(name, y)
    }
    return y
  }

  /**
   * One layer of `layerNames`, by its place: from the images [N, H, W, 3] or the output of the layer
   * before to its own.
   *
   * @throws Error when images have not three channels
   */
  layer(tape: Tape, index: number, x: Tensor, training: boolean): Tensor {
    const found = this.#blocks[index]
    if (!found) return globalAvgPool(tape, { x }, {})
    return found.block.forward(tape, index === 0 ? this.#stemOf(tape, x, training) : x, training)
  }

  #stemOf(tape: Tape, x: Tensor, training: boolean): Tensor {
    if (x.shape.length !== 4 || x.shape[3] !== 3)
      throw new Error(`${this.architecture}: images are [${x.shape}], expected [N, H, W, 3]`)
    return tape.scope(() => {
      const stem = this.#stemNorm.forward(tape, this.#stem.forward(tape, x), {
        training,
        relu: true,
      })
      if (!this.#pool) return stem
      const padding = this.#pool === 'tf-same' ? 'same' : 1
      return maxPool2d(tape, { x: stem }, { size: 3, stride: 2, padding })
    })
  }
}

/** A ResNet with memory and initial weights on `gpu`. */
export function resnet(gpu: Gpu, options: ResNetOptions): ResNet {
  const model = new ResNet(options)
  model.parameters.allocate(gpu, options.seed ?? 0)
  return model
}

/** A ResNet-50 with memory and initial weights on `gpu`. */
export function resnet50(gpu: Gpu, options: Omit<ResNetOptions, 'arch'>): ResNet {
  return resnet(gpu, options)
}
