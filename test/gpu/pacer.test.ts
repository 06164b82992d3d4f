import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuDeviceLostError } from '../../src/gpu/errors.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { Pacer } from '../../src/gpu/pacer.ts'
import { thrown } from '../thrown.ts'
import { fill } from './lifecycleScenarios.ts'

test('work is submitted in order, two submissions at a time, and finished', async () => {
  const gpu = await openGpu()
  const { program, result } = await gpu.record(() => fill(gpu, 1_000_000))
  const pacer = new Pacer(gpu)
  let done = 0
  const submitted: number[] = []
  for (let i = 0; i < 20; i++)
    await pacer.submit(() => {
      program.run()
      submitted.push(i)
      void gpu.submitted().then(() => done++)
      assert.ok(submitted.length - done <= 2, `${submitted.length} submitted, ${done} done`)
    })
  await pacer.finish()
  assert.equal(submitted, [...submitted.keys()])
  assert.is(submitted.length, 20)
  const wrong = (await gpu.read(result)).findIndex((value) => value !== 3)
  assert.is(wrong, -1)
  gpu.close()
})

test('a lost device rejects the next submission, and leaves no rejection unhandled', async () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  const gpu = await openGpu()
  const { program } = await gpu.record(() => fill(gpu, 1000))
  const pacer = new Pacer(gpu)
  await pacer.submit(() => program.run())
  gpu.device.destroy()
  await gpu.device.lost
  const error = await thrown(() => pacer.submit(() => program.run()))
  assert.instance(error, GpuDeviceLostError)
  assert.instance(await thrown(() => pacer.finish()), GpuDeviceLostError)
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(unhandled, [])
  process.off('unhandledRejection', note)
  gpu.close()
})

test.run()
