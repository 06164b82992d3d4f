import type { Gpu } from './gpu.ts'

/** Share of the expected time that is slept; the rest is waited for closely. */
const SLEPT = 0.9

/**
 * Keeps one submission running and the next one queued, and sleeps meanwhile.
 *
 * While a promise of the device is pending, Dawn's Node binding polls for it in a busy loop, which
 * takes a core from a software driver: a step of ResNet-50 costs a sixth more. So the promise is only
 * asked for when its time has nearly come.
 */
export class Pacer {
  /** Milliseconds of the shortest submission so far. */
  #duration = 0
  #finishedAt = 0
  #isPending = false

  constructor(private readonly gpu: Gpu) {}

  /** Submits more work once the work before the last is done. */
  async submit(submit: () => void): Promise<void> {
    if (!this.#isPending) {
      submit()
      this.#isPending = true
      return
    }
    await this.#sleep()
    const done = this.gpu.submitted()
    // Awaited below, but where `submit` throws: then that error is the one to report.
    done.catch(() => {})
    submit()
    await done
    const now = performance.now()
    const elapsed = now - this.#finishedAt
    if (this.#finishedAt > 0)
      this.#duration = this.#duration > 0 ? Math.min(this.#duration, elapsed) : elapsed
    this.#finishedAt = now
  }

  /** Waits for all that was submitted. */
  async finish(): Promise<void> {
    if (this.#isPending) await this.#sleep()
    await this.gpu.submitted()
    this.#isPending = false
    this.#finishedAt = 0
  }

  async #sleep(): Promise<void> {
    const left = SLEPT * this.#duration - (performance.now() - this.#finishedAt)
    if (this.#finishedAt > 0 && left > 1) await new Promise((wake) => setTimeout(wake, left))
  }
}
