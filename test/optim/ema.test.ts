import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { clipGradients } from '../../src/optim/clip.ts'
import { checkEmaDecay, emaWeight, updateAverages } from '../../src/optim/ema.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'

// Twenty updates of three roundings each: measured below 1e-7.
const TOLERANCE = 1e-6

test('the average follows a float64 loop, with and without warm-up', async () => {
  const gpu = await openGpu()
  const length = 1003
  for (const emaWarmup of [false, true]) {
    const average = gpu.upload('f32', [length], hashValues(length, 1))
    const x = gpu.empty('f32', [length])
    const weight = gpu.empty('f32', [1])
    const expected = Float64Array.from(hashValues(length, 1))
    for (let n = 0; n < 20; n++) {
      const values = hashValues(length, 10 + n)
      const decay = emaWarmup ? Math.min(0.99, (1 + n) / (10 + n)) : 0.99
      for (let i = 0; i < length; i++) expected[i] = decay * expected[i]! + (1 - decay) * values[i]!
      gpu.write(x, values)
      gpu.write(weight, Float32Array.of(emaWeight(n, { ema: 0.99, emaWarmup })))
      updateAverages(gpu, [{ average, x }], weight)
      await gpu.flush()
    }
    const error = relativeError(await gpu.read(average), expected)
    assert.ok(error < TOLERANCE, `warm-up ${emaWarmup}: relative error ${error}`)
  }
  gpu.close()
})

test('1e-4 given for the decay 0.9999 is refused with a hint', () => {
  assert.throws(
    () => checkEmaDecay(1e-4),
    (error: Error) => /ema is 0.0001, .*so give the decay 0.9999$/.test(error.message),
  )
  for (const decay of [1, 1.5, -0.1, Number.NaN])
    assert.throws(() => checkEmaDecay(decay), /ema is/)
  checkEmaDecay(0.9999)
})

test('gradients are scaled to the norm, over all arrays together, or left alone', async () => {
  const gpu = await openGpu()
  const host = [hashValues(70_001, 1), hashValues(513, 2)]
  const norm = Math.hypot(...host.map((values) => Math.hypot(...values)))
  for (const most of [norm / 7, norm * 2]) {
    const arrays = host.map((values) => gpu.upload('f32', [values.length], values))
    clipGradients(gpu, arrays, most)
    const factor = Math.min(1, most / (norm + 1e-6))
    for (const [i, values] of host.entries()) {
      const scaled = values.map((value) => value * factor)
      // The norm's chain over 70,000 squares and one product: measured below 1e-6.
      const error = relativeError(await gpu.read(arrays[i]!), scaled)
      assert.ok(error < 1e-5, `most ${most}: relative error ${error}`)
    }
    if (most > norm) assert.equal(await gpu.read(arrays[0]!), host[0])
  }
  gpu.close()
})

test.run()
