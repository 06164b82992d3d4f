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
    // What a first flush compiles is not expected of the next.
    const submitted = performance.now()
    const asleep = SLEPT * this.#fastest * work
    if (asleep > 1) await new Promise((wake) => setTimeout(wake, asleep))
    const awake = performance.now()
    await gpu.submitted()
    const end = performance.now()
    const took = end - start
    const pace = (end - submitted) / work
    const isFaster = this.#fastest === 0 || pace < this.#fastest
    // Work that ended at once may have ended long before.
    if (asleep > 1 && end - awake < 1) this.#fastest = pace / 2
    else if (isFaster) this.#fastest = pace
    return took
  }
}
