/** Sizes of a 2-d convolution: x [N, H, W, Ci], w [R, S, Ci, Co], y [N, OH, OW, Co]. */
export interface ConvolutionShape {
  readonly batch: number
  readonly inHeight: number
  readonly inWidth: number
  readonly inChannels: number
  readonly outHeight: number
  readonly outWidth: number
  readonly outChannels: number
  readonly kernelHeight: number
  readonly kernelWidth: number
  readonly strideH: number
  readonly strideW: number
  readonly padH: number
  readonly padW: number
  readonly dilationH: number
  readonly dilationW: number
}

/** The sizes that make a convolution the matrix product x [batch, in] * w [in, out]. */
export function productShape(
  batch: number,
  inChannels: number,
  outChannels: number,
): ConvolutionShape {
  return {
    batch,
    inHeight: 1,
    inWidth: 1,
    inChannels,
    outHeight: 1,
    outWidth: 1,
    outChannels,
    kernelHeight: 1,
    kernelWidth: 1,
    strideH: 1,
    strideW: 1,
    padH: 0,
    padW: 0,
    dilationH: 1,
    dilationW: 1,
  }
}

/** A convolution that touches each pixel alone, as a product with a row a pixel. */
export function foldPixels(shape: ConvolutionShape): ConvolutionShape {
  const { kernelHeight, kernelWidth, strideH, strideW, padH, padW } = shape
  const isProduct = kernelHeight * kernelWidth * strideH * strideW === 1 && padH + padW === 0
  if (!isProduct) return shape
  const rows = shape.batch * shape.inHeight * shape.inWidth
  return productShape(rows, shape.inChannels, shape.outChannels)
}
