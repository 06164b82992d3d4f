import type { BufferPool } from './bufferPool.ts'
import type { PassOf, PreparedCommands } from './commands.ts'
import { GpuError } from './errors.ts'
import { Submissions } from './submissions.ts'

/** The device that a program runs on. */
interface ProgramHost {
  /** Throws when the device reported an error or was lost. */
  check(): void
  submit(commands: GPUCommandBuffer): void
  /** Resolves when the device has done what was submitted so far. */
  finished(): Promise<unknown>
  /** Told when the program is disposed of. */
  forget(): void
}

/**
 * Commands recorded once and run any number of times on the same buffers.
 *
 * A run creates no buffer, bind group or pipeline. The program owns every array that was made while
 * it was recorded; they hold the results of the latest run.
 */
export class Program {
  readonly #submissions: Submissions
  #disposed = false

  constructor(
    private readonly prepared: PreparedCommands,
    private readonly pool: BufferPool,
    private readonly host: ProgramHost,
  ) {
    this.#submissions = new Submissions(prepared.length)
  }

  /** Dispatches of one run. */
  get dispatches(): number {
    return this.kernels.length
  }

  /** Name of the kernel of each dispatch of one run, in order. */
  get kernels(): readonly string[] {
    return this.prepared.kernels
  }

  /** The kernels with their variants and workgroups: equal for programs that do the same in the same way. */
  get signature(): string {
    return this.prepared.signature
  }

  /** Submissions of the next run: the first is cut finely, to time its parts. */
  get submissions(): number {
    return this.#submissions.count
  }

  /** Bind groups made when the program was recorded; a run makes none. */
  get bindGroups(): number {
    return this.prepared.bindGroups
  }

  /** Submits one run. Completion is awaited with `gpu.idle()` or by reading a result. */
  run(): void {
    this.host.check()
    if (this.#disposed) throw new GpuError('this program was disposed of')
    this.#submissions.run(
      (start, end) => this.host.submit(this.prepared.encode(start, end)),
      () => this.host.finished(),
    )
  }

  /**
   * Adds one run to a command buffer that the caller submits, for measuring.
   *
   * @param passOf describes the pass of each dispatch; without it dispatches share passes
   */
  encodeInto(encoder: GPUCommandEncoder, passOf?: PassOf): void {
    this.host.check()
    if (this.#disposed) throw new GpuError('this program was disposed of')
    this.prepared.encodeInto(encoder, passOf)
  }

  /** Destroys the program's buffers, its result arrays among them; a second call does nothing. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.prepared.destroy()
    this.pool.destroy()
    this.host.forget()
  }
}
