import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type ConvolutionVariant,
  convolve,
  convolveBackwardData,
  convolveBackwardWeights,
} from '../../src/autograd/convolution.ts'
import { type Conv2dAttributes, convolutionShape } from '../../src/autograd/ops/conv2d.ts'
import { openGpu } from '../../src/gpu/gpu.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import {
  convolutionBackwardData,
  convolutionBackwardWeights,
  convolutionForward,
} from '../../src/selfTest/reference/convolution.ts'

type Size = [number, number, number, number]

const shapes: [string, Size, Size, Conv2dAttributes, ...(keyof typeof variants)[]][] = [
  ['1x1', [2, 3, 5, 5], [1, 1, 5, 7], {}, 'flat'],
  ['3x3 of 16, batch 33', [33, 4, 4, 16], [3, 3, 16, 16], { padding: 1 }, 'scalar'],
  ['3x3 stride 2', [5, 9, 8, 12], [3, 3, 12, 20], { stride: 2, padding: 1 }, 'wide'],
  ['stem', [3, 17, 15, 3], [7, 7, 3, 16], { stride: 2, padding: 3 }, 'byPixel'],
  ['valid 3x3', [2, 7, 6, 8], [3, 3, 8, 4], {}, 'oneSlice'],
  ['padding beyond (k-1)/2', [2, 5, 5, 4], [3, 3, 4, 8], { padding: 2 }, 'sevenSlices'],
  ['2x2 stride 3', [2, 11, 10, 7], [2, 2, 7, 3], { stride: 3, padding: 1 }],
  ['dilation 2', [2, 9, 9, 4], [3, 3, 4, 4], { padding: 2, dilation: 2 }],
  [
    'dilation 2, stride 2',
    [17, 7, 1, 7],
    [3, 1, 7, 5],
    { padding: [3, 0], dilation: 2, stride: 2 },
  ],
  ['5x5, one channel', [1, 8, 7, 1], [5, 5, 1, 1], { padding: 2 }, 'oneRow'],
  ['41 to 47 channels, width 55', [1, 3, 55, 41], [1, 3, 41, 47], { padding: [0, 1] }],
  ['55 channels, widths 41, 47', [1, 41, 47, 3], [3, 3, 3, 55], { stride: 3 }],
  ['width 224', [1, 2, 224, 4], [2, 7, 4, 4], { padding: [1, 3], stride: [1, 2] }],
  ['104 channels', [4, 2, 2, 104], [3, 3, 104, 40], { padding: 1 }, 'noSubgroups'],
  ['440 channels, batch 33', [33, 1, 1, 440], [1, 1, 440, 104], {}],
  ['one pixel, 64 channels', [8, 1, 1, 64], [3, 3, 64, 64], { padding: 1 }, 'narrowOneRow'],
  ['panels of 32', [5, 5, 7, 32], [3, 3, 32, 64], { padding: 1, stride: [2, 1] }, 'panels'],
  ['panels of one kind', [3, 4, 3, 12], [3, 2, 12, 96], { padding: 1, dilation: 2 }, 'panels'],
  ['panels, 1x1 stride 2', [6, 9, 9, 256], [1, 1, 256, 128], { stride: 2 }, 'noPanels'],
  ['matrix product', [96, 1, 1, 128], [1, 1, 128, 256], {}, 'panels'],
  ['batch 1, 1x1 stride 2', [1, 8, 8, 32], [1, 1, 32, 64], { stride: 2 }, 'noSubgroupsNarrow'],
]

const variants = {
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
  panels: { panels: true },
  noPanels: { panels: false },
} satisfies Record<string, ConvolutionVariant>

// f32 sums of up to a thousand products against float64: measured below 4e-7.
const TOLERANCE = 2e-6

test('every pass of every variant agrees with float64 and repeats bit for bit', async () => {
  const gpu = await openGpu()
  for (const [name, xShape, wShape, attributes, ...forced] of shapes) {
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
    for (const variantName of ['chosen', ...forced] as const) {
      const variant = variants[variantName]
      const run = async () => {
        const y = gpu.empty('f32', yShape)
        const dx = gpu.empty('f32', xShape)
        const dw = gpu.empty('f32', wShape)
        convolve(gpu, shape, { x, w, y }, variant)
        convolveBackwardData(gpu, shape, { dy, w, dx }, variant)
        convolveBackwardWeights(gpu, shape, { x, dy, dw }, variant)
        const result = { y: await gpu.read(y), dx: await gpu.read(dx), dw: await gpu.read(dw) }
        for (const array of [y, dx, dw]) array.release()
        return result
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
  gpu.close()
})

test.run()
