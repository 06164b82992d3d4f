import type { Gpu } from './gpu.ts'
import type { Program } from './program.ts'

/** Most queries that WebGPU allows in one set. */
const MAX_QUERIES = 4096

/** A dispatch's kernel and how long the device took for it. */
export interface KernelTime {
  readonly kernel: string
  readonly ms: number
}

/** Whether this device tells when it begins and ends a pass. */
function hasTimestamps(gpu: Gpu): boolean {
  return gpu.device.features.has('timestamp-query')
}

/**
 * Milliseconds that the device takes for one run of a program, as the mean of `repeats` runs one
 * after the other: by timestamps where the device has them, else by the clock, less what an empty
 * submission takes.
 *
 * @param asleep milliseconds to sleep after the submission, less than it takes: while Dawn's Node binding
 *   waits for the device it polls in a busy loop, which takes a core from a software driver
 */
export async function timeProgram(
  gpu: Gpu,
  program: Program,
  repeats = 1,
  asleep = 0,
): Promise<number> {
  await gpu.idle()
  const { device } = gpu
  const runs = (encoder: GPUCommandEncoder) => {
    for (let i = 0; i < repeats; i++) program.encodeInto(encoder)
  }
  if (!hasTimestamps(gpu)) {
    const empty = await clockOf(gpu, () => {})
    return Math.max(0, (await clockOf(gpu, runs, asleep)) - empty) / repeats
  }
  const stamps = new Timestamps(device, 2)
  const encoder = device.createCommandEncoder()
  const { querySet } = stamps.set(0)
  encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: 0 } }).end()
  runs(encoder)
  encoder.beginComputePass({ timestampWrites: { querySet, endOfPassWriteIndex: 1 } }).end()
  const [begin, end] = await stamps.read(gpu, encoder, asleep)
  return (end! - begin!) / repeats
}

/**
 * Time of each dispatch of one run, in order; undefined where the device has no timestamps. Each
 * dispatch is a pass of its own here, so that the sum is a little above what a run takes.
 */
export async function profileProgram(
  gpu: Gpu,
  program: Program,
): Promise<KernelTime[] | undefined> {
  if (!hasTimestamps(gpu)) return undefined
  await gpu.idle()
  const { kernels } = program
  const stamps = new Timestamps(gpu.device, 2 * kernels.length)
  const encoder = gpu.device.createCommandEncoder()
  program.encodeInto(encoder, (dispatch) => {
    const { querySet, first } = stamps.set(2 * dispatch)
    const beginningOfPassWriteIndex = 2 * dispatch - first
    return {
      timestampWrites: {
        querySet,
        beginningOfPassWriteIndex,
        endOfPassWriteIndex: beginningOfPassWriteIndex + 1,
      },
    }
  })
  const times = await stamps.read(gpu, encoder)
  return kernels.map((kernel, i) => ({ kernel, ms: times[2 * i + 1]! - times[2 * i]! }))
}

async function clockOf(
  gpu: Gpu,
  runs: (encoder: GPUCommandEncoder) => void,
  asleep = 0,
): Promise<number> {
  const encoder = gpu.device.createCommandEncoder()
  runs(encoder)
  const commands = encoder.finish()
  const start = performance.now()
  gpu.device.queue.submit([commands])
  if (asleep > 1) await sleep(asleep)
  await gpu.submitted()
  return performance.now() - start
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}

/** Query sets for any number of timestamps, and the buffers that bring them to the host. */
class Timestamps {
  readonly #sets: GPUQuerySet[] = []

  constructor(
    private readonly device: GPUDevice,
    private readonly count: number,
  ) {
    for (let first = 0; first < count; first += MAX_QUERIES)
      this.#sets.push(
        device.createQuerySet({ type: 'timestamp', count: Math.min(MAX_QUERIES, count - first) }),
      )
  }

  /** The set that holds a timestamp, and which of all timestamps is the set's first. */
  set(index: number): { querySet: GPUQuerySet; first: number } {
    const at = Math.floor(index / MAX_QUERIES)
    return { querySet: this.#sets[at]!, first: at * MAX_QUERIES }
  }

  /** Submits `encoder`; resolves with all timestamps in milliseconds, then frees everything. */
  async read(gpu: Gpu, encoder: GPUCommandEncoder, asleep = 0): Promise<Float64Array> {
    const { device, count } = this
    const size = 8 * count
    const resolved = device.createBuffer({
      label: 'timestamps',
      size,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    })
    const staging = device.createBuffer({
      label: 'timestamps on the host',
      size,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    })
    try {
      for (const [i, set] of this.#sets.entries())
        encoder.resolveQuerySet(set, 0, set.count, resolved, 8 * i * MAX_QUERIES)
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, size)
      device.queue.submit([encoder.finish()])
      if (asleep > 1) await sleep(asleep)
      await gpu.submitted()
      await staging.mapAsync(GPUMapMode.READ)
      const nanoseconds = new BigUint64Array(staging.getMappedRange())
      // Differences first: a timestamp alone may exceed what a double holds exactly.
      return Float64Array.from(nanoseconds, (at) => Number(at - nanoseconds[0]!) / 1e6)
    } finally {
      for (const set of this.#sets) set.destroy()
      resolved.destroy()
      staging.destroy()
    }
  }
}
