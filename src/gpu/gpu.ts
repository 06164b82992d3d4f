import { BufferPool, type MemoryUse } from './bufferPool.ts'
import { bind, type Command, PreparedCommands } from './commands.ts'
import {
  GpuAdapterError,
  GpuDeviceLostError,
  GpuError,
  GpuOutOfMemoryError,
  GpuValidationError,
} from './errors.ts'
import { type DType, GpuArray, type HostArray } from './gpuArray.ts'
import { type KernelCall, PipelineCache, packParams, pipelineKey } from './kernel.ts'
import type { KernelInfo } from './kernelInfo.ts'
import { noAdapterMessage, openDawn } from './openDawn.ts'
import { type DeviceProfile, profileOf } from './profile.ts'
import { Program } from './program.ts'

export interface GpuOptions {
  /** Turns Dawn's index clamping off; faster, and safe only if every kernel's indices are. */
  readonly unsafeFast?: boolean
  /** Told of each pipeline that finishes compiling in a batch of `total`. */
  readonly onCompile?: (done: number, total: number) => void
}

const HOST_ARRAYS = { f32: Float32Array, u32: Uint32Array, i32: Int32Array }

const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const

const WANTED_FEATURES: GPUFeatureName[] = ['timestamp-query', 'subgroups']

/**
 * Opens the default WebGPU device.
 *
 * @throws GpuAdapterError when there is no adapter; the message says what to install
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const { navigator } = globalThis as { navigator?: { gpu?: GPU } }
  const entry = navigator?.gpu ?? (await openDawn({ unsafeFast: !!options.unsafeFast }))
  const adapter = await entry.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) throw new GpuAdapterError(noAdapterMessage())
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]])),
  })
  return new Gpu(device, profileOf(adapter), options)
}

/**
 * A device with its buffers, its compiled kernels and the commands that wait to run.
 *
 * Calls record work; nothing runs until `flush`, `idle` or `read`, or until a recorded `Program`
 * runs. Work always runs in the order in which it was recorded.
 */
export class Gpu {
  readonly #pipelines: PipelineCache
  readonly #use: MemoryUse = { live: 0, pooled: 0, peak: 0, buffers: 0, created: 0 }
  readonly #mainPool: BufferPool
  readonly #programs = new Set<Program>()
  #pool: BufferPool
  #commands: Command[] = []
  #recording = false
  #failure: GpuError | undefined
  #bindGroups = 0

  constructor(
    readonly device: GPUDevice,
    readonly profile: DeviceProfile,
    private readonly options: GpuOptions = {},
  ) {
    this.#pipelines = new PipelineCache(device)
    this.#mainPool = new BufferPool(device, this.#use)
    this.#pool = this.#mainPool
    device.addEventListener('uncapturederror', (event) => {
      this.#failure ??= asGpuError((event as GPUUncapturedErrorEvent).error)
    })
    void device.lost.then((info) => {
      const why = info.message ? `: ${info.message}` : ''
      this.#failure = new GpuDeviceLostError(
        info.reason === 'destroyed' ? 'the GPU device was closed' : `the GPU device was lost${why}`,
      )
    })
  }

  /** Bytes and buffers of this device; `bindGroups` and `pipelines` count those ever created. */
  memory(): MemoryUse & { bindGroups: number; pipelines: number } {
    return { ...this.#use, bindGroups: this.#bindGroups, pipelines: this.#pipelines.size }
  }

  /** An array with undefined contents. */
  empty<D extends DType>(dtype: D, shape: readonly number[], label = 'array'): GpuArray<D> {
    this.#check()
    for (const size of shape)
      if (!Number.isInteger(size) || size < 0)
        throw new GpuError(`shape [${shape}] of ${label} holds ${size}, not a size`)
    const bytes = 4 * shape.reduce((a, b) => a * b, 1)
    return new GpuArray(dtype, shape, this.#pool.acquire(bytes, label))
  }

  /** An array of zeros. */
  zeros<D extends DType>(dtype: D, shape: readonly number[], label = 'zeros'): GpuArray<D> {
    const array = this.empty(dtype, shape, label)
    this.clear(array)
    return array
  }

  /** An array with the given contents; `data` is copied before the call returns. */
  upload<D extends DType>(
    dtype: D,
    shape: readonly number[],
    data: HostArray<D>,
    label = 'upload',
  ): GpuArray<D> {
    const array = this.empty(dtype, shape, label)
    this.write(array, data)
    return array
  }

  /**
   * Replaces an array's contents from the host.
   *
   * @throws GpuError on a length mismatch, or inside `record`, where the data would not be replayed
   */
  write<D extends DType>(array: GpuArray<D>, data: HostArray<D>): void {
    this.#check()
    if (data.length !== array.length)
      throw new GpuError(`write of ${data.length} elements into an array of [${array.shape}]`)
    if (this.#recording) throw new GpuError('write inside record: write before the program runs')
    if (data.length === 0) return
    const bytes = data.buffer as ArrayBuffer
    if (this.#commands.length === 0) {
      this.device.queue.writeBuffer(
        array.storage.buffer,
        array.offset,
        bytes,
        data.byteOffset,
        data.byteLength,
      )
      return
    }
    // Earlier commands may still use a recycled buffer, so the data waits its turn beside them.
    const staging = this.device.createBuffer({
      size: data.byteLength,
      usage: GPUBufferUsage.COPY_SRC,
      mappedAtCreation: true,
    })
    new Uint8Array(staging.getMappedRange()).set(
      new Uint8Array(bytes, data.byteOffset, data.byteLength),
    )
    staging.unmap()
    this.#copy(staging, 0, array, data.byteLength)
  }

  /** Sets an array to zero bits. */
  clear(array: GpuArray): void {
    const { storage, offset, bindingSize } = array
    this.#commands.push({ kind: 'clear', buffer: storage.buffer, offset, size: bindingSize })
  }

  /** Copies `source` into `target`, which must have the same length. */
  copy<D extends DType>(source: GpuArray<D>, target: GpuArray<D>): void {
    if (source.length !== target.length)
      throw new GpuError(`copy of [${source.shape}] into [${target.shape}]`)
    this.#copy(source.storage.buffer, source.offset, target, source.length * 4)
  }

  #copy(source: GPUBuffer, sourceOffset: number, target: GpuArray, size: number): void {
    this.#commands.push({
      kind: 'copy',
      source,
      sourceOffset,
      target: target.storage.buffer,
      targetOffset: target.offset,
      size,
    })
  }

  /** Records one dispatch; what is missing or of the wrong type does not compile. */
  dispatch<K extends KernelInfo>(info: K, call: KernelCall<K>): void {
    this.#check()
    const key = pipelineKey(info, call.constants, call.conditions)
    const buffers: Readonly<Record<string, GpuArray>> = call.buffers
    const limit = this.device.limits.maxComputeWorkgroupsPerDimension
    for (const count of call.workgroups)
      if (!Number.isInteger(count) || count < 1 || count > limit)
        throw new GpuValidationError(
          `kernel ${key.id}: workgroups [${call.workgroups}] are outside 1..${limit}`,
        )
    this.#commands.push({
      kind: 'dispatch',
      key,
      bound: Object.entries(info.bindings).map(([name, { binding }]) =>
        bind(binding, buffers[name]!),
      ),
      params: info.paramsSize > 0 ? packParams(info, call.params ?? {}) : undefined,
      workgroups: call.workgroups,
    })
  }

  /**
   * Records what `body` does as a program instead of queueing it, and compiles what it needs.
   * Arrays made inside belong to the program; `body` returns those that the caller wants to see.
   */
  async record<T>(body: () => T): Promise<{ program: Program; result: T }> {
    if (this.#recording) throw new GpuError('record inside record')
    await this.flush()
    const pool = new BufferPool(this.device, this.#use)
    this.#pool = pool
    this.#recording = true
    let result: T
    let commands: Command[]
    try {
      result = body()
    } finally {
      commands = this.#commands
      this.#commands = []
      this.#pool = this.#mainPool
      this.#recording = false
    }
    const prepared = await this.#prepare(commands)
    const program = new Program(prepared, pool, (buffer) => {
      this.#check()
      if (this.#commands.length > 0)
        throw new GpuError('commands wait to run: flush before a program runs')
      this.device.queue.submit([buffer])
    })
    this.#programs.add(program)
    return { program, result }
  }

  /** Runs what was recorded so far. */
  async flush(): Promise<void> {
    this.#check()
    if (this.#commands.length === 0) return
    const commands = this.#commands
    this.#commands = []
    const prepared = await this.#prepare(commands)
    this.device.queue.submit([prepared.encode()])
    prepared.destroy()
  }

  /** Runs what was recorded and waits until the device has done it. */
  async idle(): Promise<void> {
    await this.flush()
    await this.submitted()
  }

  /** Resolves when the device has done what was submitted so far, programs' runs included. */
  async submitted(): Promise<void> {
    await this.device.queue.onSubmittedWorkDone()
    this.#check()
  }

  /** Runs what was recorded and brings an array to the host. */
  async read<D extends DType>(array: GpuArray<D>): Promise<HostArray<D>> {
    const size = array.length * 4
    const staging = this.device.createBuffer({
      label: 'read',
      size: Math.max(4, size),
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    })
    try {
      await this.flush()
      if (size > 0) {
        const encoder = this.device.createCommandEncoder()
        encoder.copyBufferToBuffer(array.storage.buffer, array.offset, staging, 0, size)
        this.device.queue.submit([encoder.finish()])
      }
      await staging.mapAsync(GPUMapMode.READ).catch(async (error: Error) => {
        await Promise.resolve()
        this.#check()
        throw new GpuError(`reading an array failed: ${error.message}`)
      })
      this.#check()
      const copy = staging.getMappedRange().slice(0)
      return new HOST_ARRAYS[array.dtype](copy, 0, array.length) as HostArray<D>
    } finally {
      staging.destroy()
    }
  }

  /** Destroys the device and all its buffers; pending reads reject with `GpuDeviceLostError`. */
  close(): void {
    for (const program of this.#programs) program.dispose()
    this.#programs.clear()
    this.#mainPool.destroy()
    this.#commands = []
    this.#failure = new GpuDeviceLostError('the GPU device was closed')
    this.device.destroy()
  }

  async #prepare(commands: readonly Command[]): Promise<PreparedCommands> {
    const prepared = await PreparedCommands.prepare(
      this.device,
      this.#pipelines,
      commands,
      this.options.onCompile ?? (() => {}),
    )
    this.#bindGroups += prepared.bindGroups
    this.#check()
    return prepared
  }

  #check(): void {
    const failure = this.#failure
    if (!failure) return
    if (!(failure instanceof GpuDeviceLostError)) this.#failure = undefined
    throw failure
  }
}

function asGpuError(error: GPUError): GpuError {
  if (error instanceof GPUOutOfMemoryError) return new GpuOutOfMemoryError(error.message)
  if (error instanceof GPUValidationError) return new GpuValidationError(error.message)
  return new GpuError(error.message)
}
