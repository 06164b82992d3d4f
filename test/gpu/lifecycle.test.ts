import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuDeviceLostError } from '../../src/gpu/errors.ts'
import { kernels } from '../../src/gpu/generated/kernels.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { runAgain, scenario } from '../childProcess.ts'
import { thrown } from '../thrown.ts'
import { fill, lifecycleScenarios } from './lifecycleScenarios.ts'

const NO_DRIVER = { VK_DRIVER_FILES: '/nonexistent.json', VK_ICD_FILENAMES: '/nonexistent.json' }
// Over the last 15 of 21 devices, with 8 MB of buffers and three pipelines each (the driver's own
// caches fill up before): measured 6 to 15 MB. One Dawn instance for each device adds 30 MB.
const RESIDENT_MARGIN = 25e6

const expected: Readonly<Record<string, { code: number; says?: RegExp }>> = {
  closed: { code: 0 },
  'closed twice': { code: 0 },
  forgotten: { code: 0 },
  'forgotten with work under way': { code: 0 },
  'forgotten while a read is pending': { code: 0 },
  'two devices, one closed': { code: 0 },
  'broken kernel': {
    code: 0,
    says: /GpuValidationError: kernel elementwise_fill\(LANES=1048576\)/,
  },
  'broken kernel uncaught': { code: 1, says: /GpuValidationError: kernel elementwise_fill/ },
  'broken kernel, not awaited, uncaught': { code: 1, says: /GpuValidationError: kernel element/ },
  'refused command': { code: 0, says: /GpuValidationError: .*Buffer "y"/ },
  'refused command uncaught': { code: 1, says: /GpuValidationError: .*Buffer "y"/ },
  'error of the user uncaught': { code: 1, says: /RangeError: of the user/ },
  'error of the user with work under way uncaught': { code: 1, says: /RangeError: of the user/ },
}

for (const [name, { code, says = /(?:)/ }] of Object.entries(expected))
  test(`${name}: the process ends by itself with code ${code}`, async () => {
    const end = await runAgain([name])
    const all = end.stdout + end.stderr
    assert.is(end.signal, null, all)
    assert.is(end.code, code, all)
    assert.match(all, says)
  })

test('20 devices opened and closed in one process leave nothing behind', async () => {
  const end = await runAgain(['open and close'], { nodeArguments: ['--expose-gc'] })
  assert.is(end.code, 0, end.stdout + end.stderr)
  const { collected, resident } = JSON.parse(end.stdout) as {
    collected: number
    resident: number[]
  }
  // Node may still hold the last one.
  assert.ok(collected >= 20, `${collected} of 21 closed devices were collected`)
  const growth = resident[20]! - resident[5]!
  assert.ok(growth < RESIDENT_MARGIN, `resident bytes grew by ${growth}: ${resident}`)
})

test('without an adapter the error says what to install', async () => {
  if (process.platform !== 'linux') return
  const caught = await runAgain(['no adapter'], { env: NO_DRIVER })
  assert.is(caught.code, 0, caught.stderr)
  assert.match(caught.stdout, 'GpuAdapterError: no WebGPU adapter was found')
  assert.match(caught.stdout, 'apt-get install mesa-vulkan-drivers')
  assert.is((await runAgain(['no adapter uncaught'], { env: NO_DRIVER })).code, 1)
})

// A driver's own loss of its device can't be provoked; destroying it beside the Gpu comes close.
const losses: [string, (gpu: Awaited<ReturnType<typeof openGpu>>) => void][] = [
  ['close()', (gpu) => gpu.close()],
  ['the loss of the device', (gpu) => gpu.device.destroy()],
]
const moments: [string, () => Promise<void>][] = [
  ['at once', async () => {}],
  ['while kernels are compiled', () => new Promise((resolve) => setImmediate(resolve))],
  ['while kernels run', () => new Promise((resolve) => setTimeout(resolve, 60))],
]
for (const [loss, lose] of losses)
  for (const [moment, wait] of moments)
    test(`${loss} ${moment} rejects what is pending with GpuDeviceLostError`, async () => {
      const gpu = await openGpu()
      const { program } = await gpu.record(() => fill(gpu, 1000))
      for (let i = 0; i < 400; i++) fill(gpu, 2_000_000).release()
      const work: [string, Promise<unknown>][] = [
        ['a long read', gpu.read(fill(gpu, 2_000_000))],
        ['a short read', gpu.read(fill(gpu, 1000))],
        ['idle', gpu.idle()],
        ['a recording', gpu.record(() => fill(gpu, 1000, 16))],
      ]
      // How far the driver gets in the meantime is its own affair: what is done by then stays done.
      const done = new Set<string>()
      const ends = work.map(([name, promise]) =>
        promise.then(
          () => done.add(name),
          () => done.add(name),
        ),
      )
      await wait()
      const pending = work.filter(([name]) => !done.has(name))
      if (moment === 'at once') assert.is(pending.length, work.length)
      lose(gpu)
      await Promise.all(ends)
      for (const [name, promise] of pending) {
        const reason = await thrown(() => promise)
        assert.instance(reason, GpuDeviceLostError, `${name}: ${reason}`)
      }
      assert.instance(await thrown(() => program.run()), GpuDeviceLostError)
      gpu.close()
    })

test('every call after close() throws GpuDeviceLostError', async () => {
  const gpu = await openGpu()
  const x = gpu.upload('f32', [3], Float32Array.of(1, 2, 3))
  const y = gpu.zeros('f32', [3])
  const { program } = await gpu.record(() => fill(gpu, 1000))
  gpu.close()
  const calls: [string, () => unknown][] = [
    ['empty', () => gpu.empty('f32', [3])],
    ['zeros', () => gpu.zeros('f32', [3])],
    ['upload', () => gpu.upload('f32', [3], new Float32Array(3))],
    ['write', () => gpu.write(x, new Float32Array(3))],
    ['clear', () => gpu.clear(x)],
    ['copy', () => gpu.copy(x, y)],
    [
      'dispatch',
      () =>
        gpu.dispatch(kernels.elementwise_fill, {
          constants: { LANES: 8 },
          params: { items: 1, itemsPerLane: 1, value: 3 },
          workgroups: [1, 1, 1],
          buffers: { y },
        }),
    ],
    ['flush', () => gpu.flush()],
    ['idle', () => gpu.idle()],
    ['submitted', () => gpu.submitted()],
    ['read', () => gpu.read(x)],
    ['record', () => gpu.record(() => {})],
    ['run', () => program.run()],
  ]
  for (const [name, call] of calls) assert.instance(await thrown(call), GpuDeviceLostError, name)
  for (const array of [x, y]) array.release()
  program.dispose()
  const { live, pooled, buffers } = gpu.memory()
  assert.equal({ live, pooled, buffers }, { live: 0, pooled: 0, buffers: 0 })
})

const [name] = scenario
if (name === undefined) test.run()
else await lifecycleScenarios[name]!()
