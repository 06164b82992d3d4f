import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { merged, Submissions } from '../../src/gpu/submissions.ts'

type Range = [start: number, end: number]

/** Submits one run on a device whose commands take `milliseconds` each, by the patched clock. */
async function timedRun(submissions: Submissions, milliseconds: number): Promise<Range[]> {
  const ranges: Range[] = []
  const now = performance.now
  let clock = 0
  let queue = Promise.resolve()
  try {
    performance.now = () => clock
    submissions.run(
      (start, end) => {
        ranges.push([start, end])
        queue = queue.then(() => {
          clock += milliseconds * (end - start)
        })
      },
      () => queue,
    )
    await queue
    // Promise.all settles a few microtasks after its last promise.
    await new Promise((wake) => setImmediate(wake))
  } finally {
    performance.now = now
  }
  return ranges
}

/** That ranges cover commands 0 up to `count` in order. */
function assertCovers(ranges: readonly Range[], count: number): void {
  let next = 0
  for (const [start, end] of ranges) {
    assert.is(start, next)
    assert.ok(end > start)
    next = end
  }
  assert.is(next, count)
}

test('a long run is cut so that no submission takes more than half a second', async () => {
  const submissions = new Submissions(100)
  assertCovers(await timedRun(submissions, 10), 100)
  const later = await timedRun(submissions, 10)
  assertCovers(later, 100)
  assert.ok(later.every(([start, end]) => (end - start) * 10 <= 500))
  assert.is(later.length, 3, '1,000 ms in pieces of at most 6 x 80 ms')
})

test('a short run becomes one submission, after the first', async () => {
  const submissions = new Submissions(543)
  const first = await timedRun(submissions, 0.2)
  assertCovers(first, 543)
  assert.ok(first.length > 1)
  assert.equal(await timedRun(submissions, 0.2), [[0, 543]])
})

test('pieces that are too long already stay alone', () => {
  assert.equal(merged([8, 16, 24, 32], [600, 600, 100, 100]), [8, 16, 32])
})

test('a device that is lost while the first run is timed leaves the cuts as they were', async () => {
  const submissions = new Submissions(20)
  const before = submissions.count
  submissions.run(
    () => {},
    () => Promise.reject(new Error('lost')),
  )
  await new Promise((wake) => setImmediate(wake))
  assert.is(submissions.count, before)
})

test.run()
