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

type Pass = 'y' | 'dx' | 'dw'

/** The variants of the kernels by name; all are right for every shape. */
export const variants = {
  chosen: {},
  flat: { flat: true },
  byPixel: { flat: false },
  scalar: { vectorised: false },
  wide: { narrow: false, oneRow: false },
  oneRow: { oneRow: true, flat: true, narrow: false },
  narrowOneRow: { narrow: true, oneRow: true },
  noSubgroups: { subgroups: false },
  noSubgroupsNarrow: { subgroups: false, narrow: true },
  oneSlice: { slices: 1 },
  sevenSlices: { slices: 7 },
  lanes64: { lanes: 64 },
  panels: { panels: true },
  noPanels: { panels: false },
  images: { images: true },
  imagesOfPanels: { images: true, panels: true },
  buffers: { images: false },
} satisfies Record<string, ConvolutionVariant>

// f32 sums of up to two thousand products against float64: measured below 4e-7.
const TOLERANCE = 2e-6

/**
 * Passes of a convolution by each variant against float64, and twice for the same bits.
 *
 * @param options.weightsTolerance relative error of dw, whose sums may be longer
 */
export async function checkConvolution(
  gpu: Gpu,
  name: string,
  [xShape, wShape, attributes]: readonly [Size, Size, Conv2dAttributes],
  variants: Readonly<Record<string, ConvolutionVariant | undefined>>,
  options: { readonly passes?: readonly Pass[]; readonly weightsTolerance?: number } = {},
): Promise<void> {
  const { passes = ['y', 'dx', 'dw'], weightsTolerance = TOLERANCE } = options
  const shape = convolutionShape(xShape, wShape, attributes)
  const size = (s: number[]) => s.reduce((a, b) => a * b, 1)
  const yShape = [shape.batch, shape.outHeight, shape.outWidth, shape.outChannels]
  const host = {
    x: hashValues(size(xShape), 1),
    w: hashValues(size(wShape), 2),
    dy: hashValues(size(yShape), 3),
  }
  const [x64, w64, dy64] = [host.x, host.w, host.dy].map((v) => new Float64Array(v)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const x = gpu.upload('f32', xShape, host.x)
  const w = gpu.upload('f32', wShape, host.w)
  const dy = gpu.upload('f32', yShape, host.dy)
  const works = {
    y: {
      shape: yShape,
      expected: () => convolutionForward(shape, x64, w64),
      run: (y: typeof x, variant?: ConvolutionVariant) =>
        convolve(gpu, shape, { x, w, y }, variant),
    },
    dx: {
      shape: xShape,
      expected: () => convolutionBackwardData(shape, dy64, w64),
      run: (dx: typeof x, variant?: ConvolutionVariant) =>
        convolveBackwardData(gpu, shape, { dy, w, dx }, variant),
    },
    dw: {
      shape: wShape,
      expected: () => convolutionBackwardWeights(shape, x64, dy64),
      run: (dw: typeof x, variant?: ConvolutionVariant) =>
        convolveBackwardWeights(gpu, shape, { x, dy, dw }, variant),
    },
  }
  for (const pass of passes) {
    const { shape: resultShape, expected, run } = works[pass]
    const wanted = expected()
    for (const [variantName, variant] of Object.entries(variants)) {
      const results: Float32Array[] = []
      for (let i = 0; i < 2; i++) {
        const result = gpu.empty('f32', resultShape)
        run(result, variant)
        results.push(await gpu.read(result))
        result.release()
      }
      const where = `${name}, ${variantName}, ${pass}`
      const error = relativeError(results[0]!, wanted)
      const bound = pass === 'dw' ? weightsTolerance : TOLERANCE
      assert.ok(error < bound, `${where}: relative error ${error}`)
      const [bits, again] = results.map(({ buffer }) => Buffer.from(buffer))
      assert.ok(bits!.equals(again!), `${where}: not the same bits when repeated`)
    }
  }
  for (const array of [x, w, dy]) array.release()
}
