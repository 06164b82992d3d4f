import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SleepyWait } from '../../src/gpu/sleepyWait.ts'

/** A device whose work takes some time from its submission on, and when it was asked for its end. */
function device(milliseconds: number) {
  let start = 0
  const asked: number[] = []
  return {
    asked,
    flush: async () => {
      start = performance.now()
    },
    submitted: () => {
      const now = performance.now()
      asked.push(now - start)
      return new Promise<void>((done) => setTimeout(done, milliseconds - (now - start)))
    },
  }
}

// Timers may be a millisecond early; no upper bound is asserted, as a machine may be busy.
test('asks for the end of work only when most of the time expected of it has passed', async () => {
  const gpu = device(60)
  const wait = new SleepyWait(gpu)
  const first = await wait.idle(6)
  assert.ok(first >= 59, `took ${first} ms`)
  await wait.idle(6)
  assert.ok(gpu.asked[1]! >= 0.8 * 59 - 1, `asked after ${gpu.asked[1]} ms`)
  await wait.idle(3)
  assert.ok(gpu.asked[2]! >= 0.4 * 59 - 1, `half the work: asked after ${gpu.asked[2]} ms`)
})

test('sleeps less after it slept for too long', async () => {
  const slow = device(100)
  const wait = new SleepyWait(slow)
  await wait.idle(1)
  slow.submitted = async () => {}
  const [second, third] = [await wait.idle(1), await wait.idle(1)]
  assert.ok(second >= 79, `slept ${second} ms`)
  assert.ok(third < 0.8 * second, `slept ${second} ms, then ${third} ms`)
})

test.run()
