import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  convolve,
  convolveBackwardData,
  convolveBackwardWeights,
} from '../../src/autograd/convolution.ts'
import { type Conv2dAttributes, convolutionShape } from '../../src/autograd/ops/conv2d.ts'
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import {
  convolutionBackwardData,
  convolutionBackwardWeights,
  convolutionForward,
} from '../../src/selfTest/reference/convolution.ts'

type Size = [number, number, number, number]

// f32 sums of at most 64 products against float64.
const TOLERANCE = 2e-6
// Up to 16,384 products in a chain, then slices in order.
const WEIGHTS_TOLERANCE = 1e-5

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Passes of one convolution against float64, each twice for its bits. */
async function check(
  gpu: Gpu,
  xShape: Size,
  wShape: Size,
  attributes: Conv2dAttributes,
  passes: readonly ('y' | 'dx' | 'dw')[],
): Promise<void> {
  const shape = convolutionShape(xShape, wShape, attributes)
  const yShape = [shape.batch, shape.outHeight, shape.outWidth, shape.outChannels]
  const host = {
    x: hashValues(size(xShape), 1),
    w: hashValues(size(wShape), 2),
    dy: hashValues(size(yShape), 3),
  }
  const x = gpu.upload('f32', xShape, host.x)
  const w = gpu.upload('f32', wShape, host.w)
  const dy = gpu.upload('f32', yShape, host.dy)
  const [x64, w64, dy64] = [host.x, host.w, host.dy].map((v) => Float64Array.from(v)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const runs = {
    y: {
      shape: yShape,
      run: (y: typeof x) => convolve(gpu, shape, { x, w, y }),
      expected: () => convolutionForward(shape, x64, w64),
    },
    dx: {
      shape: xShape,
      run: (dx: typeof x) => convolveBackwardData(gpu, shape, { dy, w, dx }),
      expected: () => convolutionBackwardData(shape, dy64, w64),
    },
    dw: {
      shape: wShape,
      run: (dw: typeof x) => convolveBackwardWeights(gpu, shape, { x, dy, dw }),
      expected: () => convolutionBackwardWeights(shape, x64, dy64),
    },
  }
  for (const pass of passes) {
    const { shape: resultShape, run, expected } = runs[pass]
    const results: Float32Array[] = []
    for (let i = 0; i < 2; i++) {
      const result = gpu.empty('f32', resultShape)
      run(result)
      results.push(await gpu.read(result))
      result.release()
    }
    const error = relativeError(results[0]!, expected())
    const bound = pass === 'dw' ? WEIGHTS_TOLERANCE : TOLERANCE
    assert.ok(error < bound, `[${xShape}] with [${wShape}], ${pass}: relative error ${error}`)
    const bits = results.map(({ buffer }) => Buffer.from(buffer))
    assert.ok(bits[0]!.equals(bits[1]!), `[${xShape}], ${pass}: not the same bits when repeated`)
  }
  for (const array of [x, w, dy]) array.release()
}

test("weights' gradient of the stem at full size", async () => {
  const gpu = await openGpu()
  await check(gpu, [1, 224, 224, 3], [7, 7, 3, 64], { stride: 2, padding: 3 }, ['dw'])
  gpu.close()
})

test('more tiles than workgroups of a dimension', async () => {
  const gpu = await openGpu()
  // 70,313 tiles of 32 rows.
  await check(gpu, [1, 1500, 1500, 1], [1, 1, 1, 1], {}, ['y', 'dx', 'dw'])
  gpu.close()
})

test('a tensor over 128 MiB where the device binds one', async () => {
  const gpu = await openGpu()
  const shape: Size = [11, 224, 224, 64]
  const { maxStorageBufferBindingSize } = gpu.device.limits
  if (4 * size(shape) <= maxStorageBufferBindingSize)
    await check(gpu, shape, [1, 1, 64, 4], {}, ['y', 'dx', 'dw'])
  else assert.throws(() => gpu.empty('f32', shape), /binds at most \d+ at once/)
  gpu.close()
})

test.run()
