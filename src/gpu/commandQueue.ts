import { type Command, PreparedCommands } from './commands.ts'
import type { GpuArray, HostArray } from './gpuArray.ts'
import type { PipelineCache } from './kernel.ts'

/** Commands a submission, of those not recorded: nobody knows how long they take. */
const EAGER_PIECE = 32

/**
 * Commands that wait to run. They are submitted in the order in which they were pushed, also where
 * an earlier flush still compiles a kernel and a later one need not.
 */
export class CommandQueue {
  #commands: Command[] = []
  #staging: GPUBuffer[] = []
  #flushes = 0
  #lastFlush: Promise<void> = Promise.resolve()
  #bindGroups = 0

  /** @param check throws when the device reported an error or was lost */
  constructor(
    private readonly device: GPUDevice,
    private readonly pipelines: PipelineCache,
    private readonly onCompile: (done: number, total: number) => void,
    private readonly check: () => void,
  ) {}

  /** Whether nothing waits that is not submitted yet. */
  get isEmpty(): boolean {
    return this.#commands.length === 0 && this.#flushes === 0
  }

  /** Bind groups ever created. */
  get bindGroups(): number {
    return this.#bindGroups
  }

  push(command: Command): void {
    this.#commands.push(command)
  }

  /** Replaces an array's contents when all that was pushed before has run. */
  write(array: GpuArray, data: HostArray<GpuArray['dtype']>): void {
    const { storage, offset } = array
    const { buffer, byteOffset, byteLength } = data as Float32Array<ArrayBuffer>
    if (byteLength === 0) return
    if (this.isEmpty) {
      this.device.queue.writeBuffer(storage.resource, offset, buffer, byteOffset, byteLength)
      return
    }
    // The device's own queue would take the data at once, before the commands that wait.
    const staging = this.device.createBuffer({
      label: 'write',
      size: byteLength,
      usage: GPUBufferUsage.COPY_SRC,
      mappedAtCreation: true,
    })
    new Uint8Array(staging.getMappedRange()).set(new Uint8Array(buffer, byteOffset, byteLength))
    staging.unmap()
    this.#staging.push(staging)
    this.push({
      kind: 'copy',
      source: staging,
      sourceOffset: 0,
      target: storage.resource,
      targetOffset: offset,
      size: byteLength,
    })
  }

  /** What `body` pushes, taken out of the queue; what waited before goes on waiting. */
  takeFrom<T>(body: () => T): { commands: Command[]; result: T } {
    const waiting = this.#commands
    const commands: Command[] = []
    this.#commands = commands
    try {
      return { commands, result: body() }
    } finally {
      this.#commands = waiting
    }
  }

  /** Compiles what the commands need and creates their bind groups. */
  async prepare(commands: readonly Command[]): Promise<PreparedCommands> {
    try {
      const { device, pipelines, onCompile } = this
      const prepared = await PreparedCommands.prepare(device, pipelines, commands, onCompile)
      this.#bindGroups += prepared.bindGroups
      return prepared
    } finally {
      // A device that was lost meanwhile is why a kernel did not compile.
      this.check()
    }
  }

  /** Submits what waits; resolves when it and all earlier flushes are submitted. */
  flush(): Promise<void> {
    if (this.#commands.length === 0) return this.#lastFlush
    const commands = this.#commands
    const staging = this.#staging
    this.#commands = []
    this.#staging = []
    this.#flushes++
    const flush = this.#submit(commands, this.#lastFlush).finally(() => {
      this.#flushes--
      for (const buffer of staging) buffer.destroy()
    })
    // Whoever asked for this flush learns of its failure; later ones only wait for its end.
    this.#lastFlush = flush.catch(() => {})
    return flush
  }

  async #submit(commands: readonly Command[], earlier: Promise<void>): Promise<void> {
    const prepared = await this.prepare(commands).finally(() => earlier)
    for (let start = 0; start < prepared.length; start += EAGER_PIECE)
      this.device.queue.submit([
        prepared.encode(start, Math.min(start + EAGER_PIECE, prepared.length)),
      ])
    prepared.destroy()
  }

  /** Forgets what waits. */
  clear(): void {
    for (const buffer of this.#staging) buffer.destroy()
    this.#staging = []
    this.#commands = []
  }
}
