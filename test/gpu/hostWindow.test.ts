import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuDeviceLostError } from '../../src/gpu/errors.ts'
import { HostWindow } from '../../src/gpu/hostWindow.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { thrown } from '../thrown.ts'

const values = (length: number, factor: number) =>
  Float32Array.from({ length }, (_, i) => factor * i)

test('arrays of growing and shrinking size pass in both directions, in order', async () => {
  const gpu = await openGpu()
  const window = new HostWindow(gpu)
  for (const [turn, length] of [7, 1000, 3, 100_000, 41].entries()) {
    const x = gpu.empty('f32', [length])
    const y = gpu.empty('f32', [length])
    await window.write(x, (into) => into.set(values(length, turn + 1)))
    gpu.copy(x, y)
    // Its copy out of the window still waits when the next array comes.
    await window.write(x, (into) => into.set(values(length, -1)))
    const seen: Float32Array[] = []
    await window.read(y, (out) => seen.push(out.slice()))
    await window.read(x, (out) => seen.push(out.slice()))
    assert.equal(seen, [values(length, turn + 1), values(length, -1)])
    x.release()
    y.release()
  }
  window.release()
  gpu.close()
})

test('what the host throws passes on, and the window serves again', async () => {
  const gpu = await openGpu()
  const window = new HostWindow(gpu)
  const x = gpu.upload('f32', [5], values(5, 1))
  const fail = () => {
    throw new Error('no more disk')
  }
  assert.is((await thrown(() => window.read(x, fail))).message, 'no more disk')
  assert.is((await thrown(() => window.write(x, fail))).message, 'no more disk')
  await window.read(x, (out) => assert.equal(out, values(5, 1)))
  gpu.close()
})

test('a lost device is named', async () => {
  const gpu = await openGpu()
  const window = new HostWindow(gpu)
  const x = gpu.upload('f32', [5], values(5, 1))
  gpu.device.destroy()
  await gpu.device.lost
  assert.instance(await thrown(() => window.read(x, () => {})), GpuDeviceLostError)
  assert.instance(await thrown(() => window.write(x, () => {})), GpuDeviceLostError)
  gpu.close()
})

test.run()
