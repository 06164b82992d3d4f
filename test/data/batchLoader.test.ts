import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluationBatches, TrainingOrder } from '../../src/data/batches.ts'
import { BatchLoader, type LoadedBatch } from '../../src/data/batchLoader.ts'
import {
  BadImageError,
  type ImageSource,
  memorySource,
  subset,
} from '../../src/data/imageSource.ts'
import { rejection } from './temporaryFolder.ts'

/** N images of one pixel that holds its index; some are bad, and later ones come sooner. */
function source(count: number, bad: readonly number[] = []) {
  const log = { running: 0, most: 0, loaded: 0 }
  const images: ImageSource = {
    count,
    labels: Uint32Array.from({ length: count }, (_, i) => i % 7),
    async load(index) {
      log.running++
      log.loaded++
      log.most = Math.max(log.most, log.running)
      await new Promise((done) => setTimeout(done, (count - index) % 5))
      log.running--
      if (bad.includes(index)) throw new BadImageError(`${index}.png`, 'is bad')
      return { data: Uint8Array.of(index), height: 1, width: 1, channels: 1 }
    },
  }
  return { images, log }
}

async function collect(loader: BatchLoader, batches: Iterable<Uint32Array>) {
  const found: LoadedBatch[] = []
  for await (const batch of loader.load(batches)) found.push(batch)
  return found
}

test('batches come in order, whatever the concurrency and the prefetch', async () => {
  const order = new TrainingOrder({ count: 50, batchSize: 6, seed: 3 })
  const batches = Array.from({ length: 20 }, (_, step) => order.batch(step).slice())
  for (const [concurrency, prefetch] of [
    [1, 1],
    [3, 2],
    [100, 7],
  ]) {
    const { images, log } = source(50)
    const found = await collect(new BatchLoader(images, { concurrency, prefetch }), batches)
    assert.equal(
      found.map(({ indexes }) => [...indexes]),
      batches.map((batch) => [...batch]),
    )
    for (const batch of found) {
      assert.equal(
        batch.images.map(({ data }) => data[0]),
        [...batch.indexes],
      )
      assert.equal(
        [...batch.labels],
        [...batch.indexes].map((index) => index % 7),
      )
    }
    assert.ok(log.most <= concurrency!, `${log.most} at a time`)
  }
})

test('decodes ahead, and no further than asked; stops when the consumer does', async () => {
  const { images, log } = source(1000)
  const loader = new BatchLoader(images, { concurrency: 4, prefetch: 3 })
  for await (const _ of loader.load(evaluationBatches(1000, 10))) break
  assert.is(log.loaded, 40, 'the batch that was used and three ahead')
  assert.is(log.running, 0)
})

test('replace: the next good example with its own label; each problem is told once', async () => {
  const { images } = source(10, [3, 4, 9])
  const told: string[] = []
  const loader = new BatchLoader(images, {
    onBadImage: 'replace',
    onProblem: ({ message }) => told.push(message),
  })
  const batches = [Uint32Array.of(2, 3, 4), Uint32Array.of(9, 3, 5)]
  const found = await collect(loader, batches)
  assert.equal(
    found.map(({ indexes }) => [...indexes]),
    [
      [2, 5, 5],
      [0, 5, 5],
    ],
  )
  assert.equal(
    found.map(({ labels }) => [...labels]),
    [
      [2, 5, 5],
      [0, 5, 5],
    ],
  )
  assert.equal(told.sort(), ['3.png is bad', '4.png is bad', '9.png is bad'])
  assert.equal([...loader.problems.keys()].sort(), [3, 4, 9])
})

test('drop: batches without the bad examples, so that none counts twice', async () => {
  const { images } = source(10, [3, 4, 9])
  const found = await collect(
    new BatchLoader(images, { onBadImage: 'drop' }),
    evaluationBatches(10, 5),
  )
  assert.equal(
    found.map(({ indexes }) => [...indexes]),
    [
      [0, 1, 2],
      [5, 6, 7, 8],
    ],
  )
})

test('fail: batches before the bad one come, then the error', async () => {
  const { images } = source(10, [7])
  const loader = new BatchLoader(images)
  let batches = 0
  const run = async () => {
    for await (const _ of loader.load(evaluationBatches(10, 2))) batches++
  }
  assert.is(await rejection(run()), '7.png is bad')
  assert.is(batches, 3)
})

test('a source without one good image ends with an error', async () => {
  const loader = new BatchLoader(source(3, [0, 1, 2]).images, { onBadImage: 'replace' })
  assert.is(await rejection(collect(loader, [Uint32Array.of(1)])), '1.png is bad')
})

test('other errors are never taken for bad images', async () => {
  const { images } = source(3)
  const broken: ImageSource = {
    ...images,
    load: async () => {
      throw new TypeError('a bug')
    },
  }
  const loader = new BatchLoader(broken, { onBadImage: 'drop' })
  assert.is(await rejection(collect(loader, [Uint32Array.of(0)])), 'a bug')
})

test('options out of range are refused', () => {
  const { images } = source(1)
  assert.throws(
    () => new BatchLoader(images, { concurrency: 0 }),
    'concurrency is 0, expected an integer from 1',
  )
  assert.throws(
    () => new BatchLoader(images, { prefetch: 1.5 }),
    'prefetch is 1.5, expected an integer from 1',
  )
})

test('images in memory and subsets of them', async () => {
  const split = {
    images: Uint8Array.of(1, 2, 3, 4, 5, 6),
    labels: Uint32Array.of(7, 8, 9),
    count: 3,
  }
  const whole = memorySource(split, { height: 1, width: 2, channels: 1 })
  const part = subset(whole, Uint32Array.of(2, 0))
  assert.equal([...part.labels], [9, 7])
  assert.equal([...(await part.load(0)).data, ...(await part.load(1)).data], [5, 6, 1, 2])
  assert.throws(
    () => subset(whole, Uint32Array.of(0, 3)),
    'index 3 at place 1, expected below the 3 examples',
  )
})

test.run()
