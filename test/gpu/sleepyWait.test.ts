import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SleepyWait } from '../../src/gpu/sleepyWait.ts'

/** Time that passes only where something waits for it, so that a busy machine changes nothing. */
class Clock {
  now = 0
  readonly #real = { now: performance.now, setTimeout: globalThis.setTimeout }

  install(): void {
    performance.now = () => this.now
    globalThis.setTimeout = ((wake: () => void, milliseconds: number) => {
      this.now += milliseconds
      queueMicrotask(wake)
    }) as typeof setTimeout
  }

  restore(): void {
    performance.now = this.#real.now
    globalThis.setTimeout = this.#real.setTimeout
  }
}

const clock = new Clock()
test.before.each(() => clock.install())
test.after.each(() => clock.restore())

/** A device whose work takes some time from its submission on, and when it was asked for its end. */
function device(milliseconds: number) {
  let start = 0
  const asked: number[] = []
  return {
    asked,
    flush: async () => {
      start = clock.now
    },
    submitted: async () => {
      asked.push(clock.now - start)
      clock.now = Math.max(clock.now, start + milliseconds)
    },
  }
}

const near = (value: number, expected: number): void =>
  assert.ok(Math.abs(value - expected) < 1e-9, `${value} ms, not ${expected}`)

test('asks for the end of work only when most of the time expected of it has passed', async () => {
  const gpu = device(60)
  const wait = new SleepyWait(gpu)
  near(await wait.idle(6), 60)
  near(gpu.asked[0]!, 0)
  near(await wait.idle(6), 60)
  near(gpu.asked[1]!, 0.8 * 60)
  near(await wait.idle(3), 60)
  near(gpu.asked[2]!, 0.8 * 30)
})

test('sleeps less after it slept for too long', async () => {
  const slow = device(100)
  const wait = new SleepyWait(slow)
  await wait.idle(1)
  slow.submitted = async () => {}
  near(await wait.idle(1), 80)
  near(await wait.idle(1), 0.8 * 40)
})

test.run()
