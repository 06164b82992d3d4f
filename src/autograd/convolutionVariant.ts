import type { Gpu } from '../gpu/gpu.ts'
import type { ConvolutionShape } from './convolutionShape.ts'

export const convolutionPasses = ['forward', 'backward-data', 'backward-weights'] as const
export type ConvolutionPass = (typeof convolutionPasses)[number]

/**
 * Choices among the variants of a convolution kernel; what is left out is chosen by shape. Each is right for every
 * shape, and all but `slices` give the same bits.
 */
export interface ConvolutionVariant {
  /** Rows of a tile in order (small batches) instead of one pixel of many images. */
  readonly flat?: boolean
  /** Whether lanes share what they load by subgroup broadcast. */
  readonly subgroups?: boolean
  /** Whether channels are loaded four at a time where their count allows. */
  readonly vectorised?: boolean
  /** Tiles of 16 columns instead of 32. */
  readonly narrow?: boolean
  /** One row of a tile a lane instead of four. */
  readonly oneRow?: boolean
  /** Invocations of a workgroup. */
  readonly lanes?: number
  /** Whether operands are read from copies in panels. */
  readonly panels?: boolean
  /** Whether operands of whole vec4s are read from copies as images. */
  readonly images?: boolean
  /** Slices of the inner dimension of the weights' gradient. */
  readonly slices?: number
}

const power = (size: number) => 2 ** Math.round(Math.log2(size))

/** The next power of two, with a mark where channels can't be loaded four at a time. */
const channels = (count: number) => `${power(count)}${count % 4 === 0 ? '' : '+'}`

/**
 * The class of a shape that is tuned as one: the window exactly, batch, pixels and channels by the next power of two.
 * A variant that is the fastest for one shape is right for all others of its class, if not always the fastest.
 */
export function convolutionClass(pass: ConvolutionPass, shape: ConvolutionShape): string {
  const { kernelHeight, kernelWidth, strideH, strideW, dilationH, dilationW } = shape
  const pixels = power(shape.outHeight * shape.outWidth)
  const window = `${kernelHeight}x${kernelWidth}/${strideH}x${strideW}`
  const dilation = dilationH * dilationW > 1 ? `*${dilationH}x${dilationW}` : ''
  return [
    `conv2d ${pass}`,
    window + dilation,
    `${power(shape.batch)}x${pixels}`,
    `${channels(shape.inChannels)}>${channels(shape.outChannels)}`,
  ].join(' ')
}

/** What the device's tuning says of a pass over a shape; nothing where it does not. */
export function tunedVariant(
  gpu: Gpu,
  pass: ConvolutionPass,
  shape: ConvolutionShape,
): ConvolutionVariant {
  return gpu.choices[convolutionClass(pass, shape)] ?? {}
}
