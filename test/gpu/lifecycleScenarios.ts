import { elementwiseCall } from '../../src/gpu/elementwise.ts'
import { kernels } from '../../src/gpu/generated/kernels.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'

/** Fills an array on the device, without waiting for it. */
export function fill(gpu: Gpu, length: number, lanes = gpu.profile.lanes) {
  const y = gpu.empty('f32', [length], 'y')
  gpu.dispatch(kernels.elementwise_fill, {
    ...elementwiseCall(gpu, y, { value: 3 }),
    constants: { LANES: lanes },
    buffers: { y },
  })
  return y
}

/** A device that has computed something, with a program that has run. */
async function openAndWork(): Promise<Gpu> {
  const gpu = await openGpu()
  const { program, result } = await gpu.record(() => fill(gpu, 1000))
  program.run()
  const [first] = await gpu.read(result)
  if (first !== 3) throw new Error(`read ${first}, expected 3`)
  return gpu
}

async function brokenKernel(gpu: Gpu): Promise<void> {
  fill(gpu, 1000, 2 ** 20)
  await gpu.idle()
}

async function refusedCommand(gpu: Gpu): Promise<void> {
  const y = fill(gpu, 1000)
  y.storage.resource.destroy()
  await gpu.idle()
}

async function printError(promise: Promise<unknown>): Promise<void> {
  await promise.catch((error: Error) => console.log(`${error.name}: ${error.message}`))
}

/** Opens and closes 21 devices; prints how many were collected and the resident bytes after each. */
async function openAndClose(): Promise<void> {
  const resident: number[] = []
  let collected = 0
  const registry = new FinalizationRegistry(() => {
    collected++
  })
  for (let cycle = 0; cycle <= 20; cycle++) {
    const gpu = await openAndWork()
    registry.register(gpu.device, cycle)
    const weights = gpu.upload('f32', [1_000_000], new Float32Array(1_000_000))
    gpu.copy(weights, gpu.empty('f32', [1_000_000]))
    await gpu.idle()
    gpu.close()
    const { live, pooled, buffers } = gpu.memory()
    if (live + pooled + buffers > 0)
      throw new Error(`after close: ${live} + ${pooled} bytes in ${buffers} buffers`)
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    resident.push(process.memoryUsage().rss)
  }
  console.log(JSON.stringify({ collected, resident }))
}

/** What a child process does; a name that ends in `uncaught` ends with exit code 1. */
export const lifecycleScenarios: Readonly<Record<string, () => Promise<void>>> = {
  closed: async () => (await openAndWork()).close(),
  'closed twice': async () => {
    const gpu = await openAndWork()
    gpu.close()
    gpu.close()
  },
  forgotten: async () => {
    await openAndWork()
  },
  'forgotten with work under way': async () => {
    const gpu = await openAndWork()
    fill(gpu, 1_000_000)
    await gpu.flush()
  },
  'forgotten while a read is pending': async () => {
    const gpu = await openAndWork()
    void gpu.read(fill(gpu, 1_000_000))
  },
  'two devices, one closed': async () => {
    const gpu = await openAndWork()
    await openAndWork()
    gpu.close()
  },
  'broken kernel': async () => printError(brokenKernel(await openAndWork())),
  'broken kernel uncaught': async () => brokenKernel(await openAndWork()),
  'broken kernel, not awaited, uncaught': async () => {
    void brokenKernel(await openAndWork())
  },
  'refused command': async () => printError(refusedCommand(await openAndWork())),
  'refused command uncaught': async () => refusedCommand(await openAndWork()),
  'error of the user uncaught': async () => {
    await openAndWork()
    throw new RangeError('of the user')
  },
  'error of the user with work under way uncaught': async () => {
    const gpu = await openAndWork()
    void gpu.read(fill(gpu, 1_000_000))
    throw new RangeError('of the user')
  },
  'no adapter': () => printError(openGpu()),
  'no adapter uncaught': async () => {
    await openGpu()
  },
  'open and close': openAndClose,
}
