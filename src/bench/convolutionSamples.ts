import type { ConvolutionShape } from '../autograd/convolutionShape.ts'
import type { ConvolutionPass } from '../autograd/convolutionVariant.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'

/** The arrays of a convolution on the host, as they lie: x and y NHWC, w [R, S, Ci, Co]. */
export interface HostConvolution {
  readonly x: Float32Array
  readonly w: Float32Array
  readonly dy: Float32Array
}

/** Products that all samples of a pass may take together. */
const PRODUCTS = 4e6
const MOST = 64

/** Some elements of a pass's result, drawn, in float64: [index, value]. */
export function sampleConvolution(
  pass: ConvolutionPass,
  s: ConvolutionShape,
  host: HostConvolution,
): [number, number][] {
  const { length, products, at } = elementOf(pass, s, host)
  const stream = new RandomStream(0, streams.init)
  const count = Math.max(1, Math.min(MOST, length, Math.floor(PRODUCTS / products)))
  return Array.from({ length: count }, (_, i) => {
    const index = stream.integer(i, length)
    return [index, at(index)]
  })
}

function elementOf(
  pass: ConvolutionPass,
  s: ConvolutionShape,
  { x, w, dy }: HostConvolution,
): { length: number; products: number; at: (index: number) => number } {
  const { inHeight, inWidth, inChannels, outHeight, outWidth, outChannels } = s
  const taps = s.kernelHeight * s.kernelWidth
  const xAt = (n: number, ih: number, iw: number) =>
    ih < 0 || iw < 0 || ih >= inHeight || iw >= inWidth
      ? -1
      : ((n * inHeight + ih) * inWidth + iw) * inChannels
  const inputOf = (n: number, oh: number, ow: number, tap: number) =>
    xAt(
      n,
      oh * s.strideH + Math.floor(tap / s.kernelWidth) * s.dilationH - s.padH,
      ow * s.strideW + (tap % s.kernelWidth) * s.dilationW - s.padW,
    )
  if (pass === 'forward')
    return {
      length: dy.length,
      products: taps * inChannels,
      at(index) {
        const [n, oh, ow, co] = unravel(index, [outHeight, outWidth, outChannels])
        let sum = 0
        for (let tap = 0; tap < taps; tap++) {
          const from = inputOf(n, oh, ow, tap)
          if (from < 0) continue
          for (let ci = 0; ci < inChannels; ci++)
            sum += x[from + ci]! * w[(tap * inChannels + ci) * outChannels + co]!
        }
        return sum
      },
    }
  if (pass === 'backward-data')
    return {
      length: x.length,
      products: taps * outChannels,
      at(index) {
        const [n, ih, iw, ci] = unravel(index, [inHeight, inWidth, inChannels])
        let sum = 0
        for (let tap = 0; tap < taps; tap++) {
          const oh = (ih + s.padH - Math.floor(tap / s.kernelWidth) * s.dilationH) / s.strideH
          const ow = (iw + s.padW - (tap % s.kernelWidth) * s.dilationW) / s.strideW
          const inside = oh >= 0 && ow >= 0 && oh < outHeight && ow < outWidth
          if (!inside || !Number.isInteger(oh) || !Number.isInteger(ow)) continue
          const from = ((n * outHeight + oh) * outWidth + ow) * outChannels
          for (let co = 0; co < outChannels; co++)
            sum += dy[from + co]! * w[(tap * inChannels + ci) * outChannels + co]!
        }
        return sum
      },
    }
  return {
    length: w.length,
    products: s.batch * outHeight * outWidth,
    at(index) {
      const [tap, ci, co] = unravel(index, [inChannels, outChannels])
      let sum = 0
      for (let n = 0; n < s.batch; n++)
        for (let oh = 0; oh < outHeight; oh++)
          for (let ow = 0; ow < outWidth; ow++) {
            const from = inputOf(n, oh, ow, tap)
            if (from < 0) continue
            sum += x[from + ci]! * dy[((n * outHeight + oh) * outWidth + ow) * outChannels + co]!
          }
      return sum
    },
  }
}

/** The coordinates of a flat index in an array whose axes after the first have `sizes`. */
function unravel(index: number, sizes: readonly number[]): [number, number, number, number] {
  const found: number[] = []
  let left = index
  for (const size of [...sizes].reverse()) {
    found.unshift(left % size)
    left = Math.floor(left / size)
  }
  return [left, ...found] as [number, number, number, number]
}
