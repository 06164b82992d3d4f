import { BufferPool, type MemoryUse } from './bufferPool.ts'
import { checkCall } from './checkCall.ts'
import type { KernelChoices } from './choices.ts'
import { CommandQueue } from './commandQueue.ts'
import { bind, copyCommand, imageCommands } from './commands.ts'
import { Constants } from './constants.ts'
import { asGpuError, GpuDeviceLostError, GpuError } from './errors.ts'
import { checkHostArray, type DType, GpuArray, HOST_ARRAYS, type HostArray } from './gpuArray.ts'
import { GpuImage } from './gpuImage.ts'
import { type KernelCall, PipelineCache, packParams, pipelineKey } from './kernel.ts'
import type { KernelInfo } from './kernelInfo.ts'
import type { DeviceProfile } from './profile.ts'
import { Program } from './program.ts'

export interface GpuOptions {
  /** Turns Dawn's index clamping off; faster, and safe only if every kernel's indices are. */
  readonly unsafeFast?: boolean
  /** Told of each pipeline that finishes compiling in a batch of `total`. */
  readonly onCompile?: (done: number, total: number) => void
  /** Bytes that a kernel binds of an array at most, where that is to be less than the device allows. */
  readonly largestBinding?: number
}

/**
 * A device with its buffers, its compiled kernels and the commands that wait to run.
 *
 * Calls record work; nothing runs until `flush`, `idle` or `read`, or until a recorded `Program`
 * runs. Work always runs in the order in which it was recorded.
 */
export class Gpu {
  readonly #pipelines: PipelineCache
  readonly #queue: CommandQueue
  readonly #use: MemoryUse = { live: 0, pooled: 0, peak: 0, buffers: 0, created: 0 }
  readonly #mainPool: BufferPool
  readonly #programs = new Set<Program>()
  readonly #constants: Constants
  /** Bytes of the largest array that a kernel can bind whole; of a larger one it takes `pieces`. */
  readonly largestBinding: number
  #pool: BufferPool
  #recording = false
  /** Variants of kernels in use, as `tuneConvolutions` finds them; others are chosen by shape. */
  choices: KernelChoices = {}
  #failure: GpuError | undefined

  /** @throws GpuError when `options.largestBinding` is no number above 0 */
  constructor(
    readonly device: GPUDevice,
    readonly profile: DeviceProfile,
    options: GpuOptions = {},
  ) {
    const { onCompile = () => {}, largestBinding = Infinity } = options
    if (!(largestBinding > 0))
      throw new GpuError(`largestBinding is ${largestBinding}, expected a number of bytes above 0`)
    const { maxBufferSize, maxStorageBufferBindingSize } = device.limits
    this.largestBinding = Math.min(maxBufferSize, maxStorageBufferBindingSize, largestBinding)
    this.#pipelines = new PipelineCache(device)
    this.#constants = new Constants(device)
    this.#queue = new CommandQueue(device, this.#pipelines, onCompile, () => this.#check())
    this.#pool = this.#mainPool = new BufferPool(device, this.#use)
    device.addEventListener('uncapturederror', this.#onError)
    void device.lost.then((info) => {
      const why = info.message ? `: ${info.message}` : ''
      this.#failure = new GpuDeviceLostError(
        info.reason === 'destroyed' ? 'the GPU device was closed' : `the GPU device was lost${why}`,
      )
    })
  }

  readonly #onError = (event: Event): void => {
    this.#failure ??= asGpuError((event as GPUUncapturedErrorEvent).error)
  }

  /** Bytes and buffers of this device; `bindGroups` and `pipelines` count those ever created. */
  memory(): MemoryUse & { bindGroups: number; pipelines: number } {
    return {
      ...this.#use,
      bindGroups: this.#queue.bindGroups,
      pipelines: this.#pipelines.size,
    }
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

  /**
   * An image with undefined contents.
   *
   * @throws GpuError when a side exceeds what the device allows
   */
  image(width: number, height: number, label = 'image'): GpuImage {
    this.#check()
    return new GpuImage(width, height, this.#pool.acquireImage(width, height, label))
  }

  /** Runs `body`; where it throws, all arrays that it made are given back. */
  releaseOnError<T>(body: () => T): T {
    return this.#pool.releaseOnError(body)
  }

  /**
   * A scalar [1] of this value, for reading only: unlike one that is filled it costs no dispatch, also
   * inside `record`. Its buffer is kept for the life of the device.
   */
  constant(value: number): GpuArray<'f32'> {
    this.#check()
    return this.#constants.get(value)
  }

  /** Whether an array is this constant, so that work which it would leave undone can be left out. */
  isConstant(array: GpuArray, value: number): boolean {
    return this.#constants.has(array, value)
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
    this.#check()
    checkHostArray(dtype, shape, data)
    this.#refuseInRecord('upload')
    const array = this.empty(dtype, shape, label)
    this.#queue.write(array, data)
    return array
  }

  /**
   * Replaces an array's contents from the host.
   *
   * @throws GpuError on a length mismatch, or inside `record`, where the data would not be replayed
   */
  write<D extends DType>(array: GpuArray<D>, data: HostArray<D>): void {
    this.#check()
    checkHostArray(array.dtype, array.shape, data)
    this.#refuseInRecord('write')
    array.checkLive()
    this.#queue.write(array, data)
  }

  /** Sets an array to zero bits. */
  clear(array: GpuArray): void {
    this.#check()
    array.checkLive()
    const { storage, offset, bindingSize } = array
    this.#queue.push({ kind: 'clear', buffer: storage.resource, offset, size: bindingSize })
  }

  /** Copies `source` into `target`, which must have the same length. */
  copy<D extends DType>(source: GpuArray<D>, target: GpuArray<D>): void {
    this.#check()
    if (source.length !== target.length)
      throw new GpuError(`copy of [${source.shape}] into [${target.shape}]`)
    source.checkLive()
    target.checkLive()
    this.#queue.push(copyCommand(source, target.storage.resource, target.offset))
  }

  /**
   * Copies an array, seen as [., width, 4], into the first columns and rows of an image; its last row may be
   * shorter.
   *
   * @param width a multiple of 16
   * @throws GpuError when the array does not fit
   */
  copyToImage(source: GpuArray<'f32'>, image: GpuImage, width: number): void {
    this.#check()
    const pixels = source.length / 4
    const fits = width <= image.width && pixels <= width * image.height
    if (width % 16 !== 0 || !Number.isInteger(pixels) || !fits)
      throw new GpuError(
        `copy of [${source.shape}] into an image [${image.shape}], ${width} pixels a row`,
      )
    source.checkLive()
    image.checkLive()
    for (const command of imageCommands(source, image, width)) this.#queue.push(command)
  }

  /** Destroys the buffers that are kept for reuse. */
  trim(): void {
    this.#mainPool.trim()
  }

  /** Records one dispatch; what is missing or of the wrong type does not compile. */
  dispatch<K extends KernelInfo>(info: K, call: KernelCall<K>): void {
    this.#check()
    const key = pipelineKey(info, call.constants, call.conditions)
    const buffers: Readonly<Record<string, GpuArray | GpuImage>> = call.buffers
    const { maxComputeWorkgroupsPerDimension } = this.device.limits
    checkCall(key, buffers, call.workgroups, {
      workgroups: maxComputeWorkgroupsPerDimension,
      binding: this.largestBinding,
    })
    this.#queue.push({
      kind: 'dispatch',
      key,
      bound: Object.entries(info.bindings).map(([name, { binding }]) =>
        bind(binding, buffers[name]!),
      ),
      params: info.paramsSize > 0 ? packParams(key, call.params ?? {}) : undefined,
      workgroups: call.workgroups,
    })
  }

  /**
   * Records what `body` does as a program instead of queueing it, and compiles what it needs.
   * Arrays made inside belong to the program; `body` returns those that the caller wants to see.
   */
  async record<T>(body: () => T): Promise<{ program: Program; result: T }> {
    this.#refuseInRecord('record')
    await this.flush()
    const pool = new BufferPool(this.device, this.#use)
    try {
      const { commands, result } = this.#queue.takeFrom(() => this.#within(pool, body))
      const prepared = await this.#queue.prepare(commands)
      const program = new Program(prepared, pool, {
        check: () => this.#check(),
        submit: (buffer) => {
          if (!this.#queue.isEmpty)
            throw new GpuError('commands wait to run: flush before a program runs')
          this.device.queue.submit([buffer])
        },
        finished: () => this.device.queue.onSubmittedWorkDone(),
        forget: () => this.#programs.delete(program),
      })
      this.#programs.add(program)
      return { program, result }
    } catch (error) {
      pool.destroy()
      throw error
    }
  }

  #within<T>(pool: BufferPool, body: () => T): T {
    this.#pool = pool
    this.#recording = true
    try {
      return body()
    } finally {
      this.#pool = this.#mainPool
      this.#recording = false
    }
  }

  /** Runs what was recorded so far. */
  async flush(): Promise<void> {
    this.#check()
    this.#refuseInRecord('flush')
    await this.#settle(this.#queue.flush())
  }

  /** Runs what was recorded and waits until the device has done it. */
  async idle(): Promise<void> {
    await this.flush()
    await this.submitted()
  }

  /** Resolves when the device has done what was submitted so far, programs' runs included. */
  async submitted(): Promise<void> {
    await this.#settle(this.device.queue.onSubmittedWorkDone())
  }

  /** Runs what was recorded and brings an array to the host. */
  async read<D extends DType>(array: GpuArray<D>): Promise<HostArray<D>> {
    this.#check()
    this.#refuseInRecord('read')
    array.checkLive()
    const staging = this.device.createBuffer({
      label: 'read',
      size: Math.max(4, array.length * 4),
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    })
    try {
      if (array.length > 0) this.#queue.push(copyCommand(array, staging, 0))
      await this.flush()
      await this.#settle(staging.mapAsync(GPUMapMode.READ))
      const bytes = staging.getMappedRange().slice(0)
      return new HOST_ARRAYS[array.dtype](bytes, 0, array.length) as HostArray<D>
    } finally {
      staging.destroy()
    }
  }

  /**
   * Destroys the device and all its buffers. What is pending rejects with `GpuDeviceLostError`, and
   * so does every later call.
   */
  close(): void {
    for (const program of this.#programs) program.dispose()
    this.#mainPool.destroy()
    this.#queue.clear()
    this.#failure = new GpuDeviceLostError('the GPU device was closed')
    // Dawn never collects a device that has a listener, nor what it compiled.
    this.device.removeEventListener('uncapturederror', this.#onError)
    this.device.destroy()
  }

  /** Awaits the device; an error that it reported meanwhile comes first. */
  async #settle<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise
    } finally {
      this.#check()
    }
  }

  #refuseInRecord(call: string): void {
    if (this.#recording)
      throw new GpuError(`${call} inside record: only device work can be recorded`)
  }

  #check(): void {
    const failure = this.#failure
    if (!failure) return
    if (!(failure instanceof GpuDeviceLostError)) this.#failure = undefined
    throw failure
  }
}
