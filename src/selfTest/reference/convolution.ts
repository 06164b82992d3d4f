import type { ConvolutionShape } from '../../autograd/convolutionShape.ts'

/** Calls `visit` with the flat indices of x, w and y of every product that a convolution sums. */
function eachProduct(s: ConvolutionShape, visit: (x: number, w: number, y: number) => void): void {
  for (let n = 0; n < s.batch; n++)
    for (let oh = 0; oh < s.outHeight; oh++)
      for (let ow = 0; ow < s.outWidth; ow++)
        for (let r = 0; r < s.kernelHeight; r++) {
          const ih = oh * s.strideH + r * s.dilationH - s.padH
          if (ih < 0 || ih >= s.inHeight) continue
          for (let q = 0; q < s.kernelWidth; q++) {
            const iw = ow * s.strideW + q * s.dilationW - s.padW
            if (iw < 0 || iw >= s.inWidth) continue
            for (let ci = 0; ci < s.inChannels; ci++) {
              const x = ((n * s.inHeight + ih) * s.inWidth + iw) * s.inChannels + ci
              const w = ((r * s.kernelWidth + q) * s.inChannels + ci) * s.outChannels
              const y = ((n * s.outHeight + oh) * s.outWidth + ow) * s.outChannels
              for (let co = 0; co < s.outChannels; co++) visit(x, w + co, y + co)
            }
          }
        }
}

export function convolutionForward(s: ConvolutionShape, x: Float64Array, w: Float64Array) {
  const y = new Float64Array(s.batch * s.outHeight * s.outWidth * s.outChannels)
  eachProduct(s, (i, j, k) => {
    y[k]! += x[i]! * w[j]!
  })
  return y
}

export function convolutionBackwardData(s: ConvolutionShape, dy: Float64Array, w: Float64Array) {
  const dx = new Float64Array(s.batch * s.inHeight * s.inWidth * s.inChannels)
  eachProduct(s, (i, j, k) => {
    dx[i]! += dy[k]! * w[j]!
  })
  return dx
}

export function convolutionBackwardWeights(s: ConvolutionShape, x: Float64Array, dy: Float64Array) {
  const dw = new Float64Array(s.kernelHeight * s.kernelWidth * s.inChannels * s.outChannels)
  eachProduct(s, (i, j, k) => {
    dw[j]! += x[i]! * dy[k]!
  })
  return dw
}
