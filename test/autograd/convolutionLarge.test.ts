import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { convolve } from '../../src/autograd/convolution.ts'
import { type Conv2dAttributes, convolutionShape } from '../../src/autograd/ops/conv2d.ts'
import { GpuOutOfMemoryError } from '../../src/gpu/errors.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { thrown } from '../thrown.ts'
import { checkConvolution, type Size } from './checkConvolution.ts'

const chosen = { chosen: undefined }
// Up to 16,384 products in a chain, then slices in order.
const weightsTolerance = 1e-5

test("weights' gradient of the stem at full size", async () => {
  const gpu = await openGpu()
  await checkConvolution(
    gpu,
    'stem',
    [[1, 224, 224, 3], [7, 7, 3, 64], { stride: 2, padding: 3 }],
    chosen,
    { passes: ['dw'], weightsTolerance },
  )
  gpu.close()
})

test('more tiles than workgroups of a dimension', async () => {
  const gpu = await openGpu()
  // 70,313 tiles of 32 rows.
  await checkConvolution(gpu, 'tiles', [[1, 1500, 1500, 1], [1, 1, 1, 1], {}], chosen, {
    weightsTolerance,
  })
  gpu.close()
})

// Pieces of a size that every device binds; this is all that many do.
const largestBinding = 2 ** 27

for (const [name, ...sizes] of [
  ['x', [28, 224, 224, 24], [1, 1, 24, 2], {}],
  ['y', [28, 224, 224, 2], [1, 1, 2, 24], {}],
  ['x, 3x3 stride 2', [11, 224, 224, 64], [3, 3, 64, 1], { stride: 2, padding: 1 }],
] as [string, Size, Size, Conv2dAttributes][])
  test(`a convolution with over 128 MiB of ${name}`, async () => {
    const gpu = await openGpu({ largestBinding })
    await checkConvolution(gpu, name, sizes, chosen, { weightsTolerance })
    gpu.close()
  })

test('weights beyond the largest binding are refused', async () => {
  const gpu = await openGpu({ largestBinding: 2 ** 16 })
  const shape = convolutionShape([2, 1, 1, 160], [1, 1, 160, 160], {})
  const [x, w, y] = [
    [2, 160],
    [160, 160],
    [2, 160],
  ].map((size) => gpu.empty('f32', size, 'array'))
  const error = await thrown(() => convolve(gpu, shape, { x: x!, w: w!, y: y! }))
  assert.instance(error, GpuOutOfMemoryError)
  assert.match(
    error.message,
    /: w \(array\) \[160,160\] needs 102400 bytes, but this device binds at most 65536 at once/,
  )
  gpu.close()
})

test.run()
