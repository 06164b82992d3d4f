import type { MaxPool2dAttributes } from '../../autograd/ops/maxPool2d.ts'
import { type HostTensor, zeros } from './hostTensor.ts'

type Four = [number, number, number, number]

/** Maximum over windows, padding never chosen: x [N, H, W, C] -> [N, OH, OW, C]. */
export function maxPool2d({ x }: { x: HostTensor }, attributes: MaxPool2dAttributes): HostTensor {
  return maxPool2dWithIndices({ x }, attributes).y
}

/** The same with the flat index into x of each maximum, the first in row-major order of equals. */
export function maxPool2dWithIndices(
  { x }: { x: HostTensor },
  { size, stride = size, padding = 0 }: MaxPool2dAttributes,
): { y: HostTensor; indices: Uint32Array } {
  const [batch, inHeight, inWidth, channels] = x.shape as Four
  const [sizeH, sizeW] = typeof size === 'number' ? [size, size] : size
  const [strideH, strideW] = typeof stride === 'number' ? [stride, stride] : stride
  const [padH, padW, afterH, afterW] =
    padding === 'same'
      ? [...same(inHeight, inWidth, [sizeH, sizeW], [strideH, strideW])]
      : typeof padding === 'number'
        ? [padding, padding, padding, padding]
        : [...padding, ...padding]
  const outHeight = Math.floor((inHeight + padH! + afterH! - sizeH) / strideH) + 1
  const outWidth = Math.floor((inWidth + padW! + afterW! - sizeW) / strideW) + 1
  const shape: Four = [batch, outHeight, outWidth, channels]
  const value = zeros(shape).fill(Number.NEGATIVE_INFINITY)
  const indices = new Uint32Array(value.length)
  for (let o = 0; o < value.length; o++) {
    const c = o % channels
    const ow = Math.floor(o / channels) % outWidth
    const oh = Math.floor(o / channels / outWidth) % outHeight
    const n = Math.floor(o / channels / outWidth / outHeight)
    for (let r = 0; r < sizeH; r++)
      for (let s = 0; s < sizeW; s++) {
        const ih = oh * strideH + r - padH!
        const iw = ow * strideW + s - padW!
        if (ih < 0 || ih >= inHeight || iw < 0 || iw >= inWidth) continue
        const i = ((n * inHeight + ih) * inWidth + iw) * channels + c
        if (x.value[i]! > value[o]!) {
          value[o] = x.value[i]!
          indices[o] = i
        }
      }
  }
  return { y: { value, shape }, indices }
}

/** TensorFlow's SAME: [top, left, bottom, right]. */
function same(
  height: number,
  width: number,
  size: readonly [number, number],
  stride: readonly [number, number],
): number[] {
  const totals = [height, width].map((extent, axis) => {
    const rest = extent % stride[axis]!
    return Math.max(0, size[axis]! - (rest === 0 ? stride[axis]! : rest))
  })
  return [...totals.map((t) => t >> 1), ...totals.map((t) => t - (t >> 1))]
}
