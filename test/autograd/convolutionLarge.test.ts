import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/openGpu.ts'
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

test('a tensor over 128 MiB where the device binds one', async () => {
  const gpu = await openGpu()
  const shape: Size = [11, 224, 224, 64]
  const { maxStorageBufferBindingSize } = gpu.device.limits
  if (4 * shape.reduce((a, b) => a * b) <= maxStorageBufferBindingSize)
    await checkConvolution(gpu, 'large', [shape, [1, 1, 64, 4], {}], chosen, { weightsTolerance })
  else assert.throws(() => gpu.empty('f32', shape), /binds at most \d+ at once/)
  gpu.close()
})

test.run()
