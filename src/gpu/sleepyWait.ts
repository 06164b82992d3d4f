import type { Gpu } from './gpu.ts'

/** Share of the expected time that is slept; the rest is waited for closely. */
const SLEPT = 0.8

/**
 * Waits for work of one kind, asleep for most of the time that the fastest so far leads to expect.
 *
 * While a promise of the device is pending, Dawn's Node binding polls for it in a busy loop, which
 * takes a core from a software driver.
 */
export class SleepyWait {
  /** Milliseconds for a unit of work. */
  #fastest = 0

  constructor(private readonly gpu: Pick<Gpu, 'flush' | 'submitted'>) {}

  /**
   * Runs what was recorded and waits until the device has done it.
   *
   * @param work its size, in any unit
   * @returns milliseconds that it took
   */
  async idle(work: number): Promise<number> {
    const { gpu } = this
    const start = performance.now()
    await gpu.flush()
    const asleep = SLEPT * this.#fastest * work
    if (asleep > 1) await new Promise((wake) => setTimeout(wake, asleep))
    await gpu.submitted()
    const took = performance.now() - start
    const pace = took / work
    this.#fastest = this.#fastest > 0 ? Math.min(this.#fastest, pace) : pace
    return took
  }
}
