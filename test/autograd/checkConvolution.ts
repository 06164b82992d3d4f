import * as assert from 'uvu/assert'
import {
  convolve,
  convolveBackwardData,
  convolveBackwardWeights,
} from '../../src/autograd/convolution.ts'
import type { ConvolutionVariant } from '../../src/autograd/convolutionVariant.ts'
import { type Conv2dAttributes, convolutionShape } from '../../src/autograd/ops/conv2d.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import {
  convolutionBackwardData,
  convolutionBackwardWeights,
  convolutionForward,
} from '../../src/selfTest/reference/convolution.ts'

/** [N, H, W, Ci] of x or [R, S, Ci, Co] of w. */
export type Size = [number, number, number, number]

// f32 sums of up to two thousand products against float64: measured below 4e-7.
const TOLERANCE = 2e-6

/** The three passes of a convolution by each variant against float64, and twice for the same bits. */
export async function checkConvolution(
  gpu: Gpu,
  name: string,
  [xShape, wShape, attributes]: readonly [Size, Size, Conv2dAttributes],
  variants: Readonly<Record<string, ConvolutionVariant>>,
): Promise<void> {
  const shape = convolutionShape(xShape, wShape, attributes)
  const size = (s: number[]) => s.reduce((a, b) => a * b, 1)
  const yShape = [shape.batch, shape.outHeight, shape.outWidth, shape.outChannels]
  const host = {
    x: hashValues(size(xShape), 1),
    w: hashValues(size(wShape), 2),
    dy: hashValues(size(yShape), 3),
  }
  const [x64, w64, dy64] = [host.x, host.w, host.dy].map((v) => Float64Array.from(v)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const expected = {
    y: convolutionForward(shape, x64, w64),
    dx: convolutionBackwardData(shape, dy64, w64),
    dw: convolutionBackwardWeights(shape, x64, dy64),
  }
  const x = gpu.upload('f32', xShape, host.x)
  const w = gpu.upload('f32', wShape, host.w)
  const dy = gpu.upload('f32', yShape, host.dy)
  for (const [variantName, variant] of Object.entries(variants)) {
    const run = async () => {
      const y = gpu.empty('f32', yShape)
      const dx = gpu.empty('f32', xShape)
      const dw = gpu.empty('f32', wShape)
      convolve(gpu, shape, { x, w, y }, variant)
      convolveBackwardData(gpu, shape, { dy, w, dx }, variant)
      convolveBackwardWeights(gpu, shape, { x, dy, dw }, variant)
      const [readY, readDx, readDw] = await Promise.all([gpu.read(y), gpu.read(dx), gpu.read(dw)])
      for (const array of [y, dx, dw]) array.release()
      return { y: readY, dx: readDx, dw: readDw }
    }
    const first = await run()
    for (const pass of ['y', 'dx', 'dw'] as const) {
      const error = relativeError(first[pass], expected[pass])
      assert.ok(error < TOLERANCE, `${name}, ${variantName}, ${pass}: relative error ${error}`)
    }
    const second = await run()
    assert.equal(second, first, `${name}, ${variantName}: not the same bits when repeated`)
  }
  for (const array of [x, w, dy]) array.release()
}
