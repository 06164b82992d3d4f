import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluationBatches, gatherLabels, TrainingOrder } from '../../src/data/batches.ts'

const range = (n: number) => [...Array(n).keys()]

test('an epoch holds full batches of one permutation and drops the rest', () => {
  const order = new TrainingOrder({ count: 103, batchSize: 10, seed: 1 })
  assert.is(order.batchesPerEpoch, 10)
  const seen = range(10).flatMap((step) => [...order.batch(step)])
  assert.is(new Set(seen).size, 100)
  assert.equal(seen, [...order.epochOrder(0).subarray(0, 100)])
  assert.equal(
    [...order.epochOrder(0)].sort((a, b) => a - b),
    range(103),
  )
})

test('epochs and seeds differ, the dropped examples too', () => {
  const order = new TrainingOrder({ count: 103, batchSize: 10, seed: 1 })
  const first = order.epochOrder(0).join()
  const dropped = [0, 1, 2, 3].map((epoch) => order.epochOrder(epoch).subarray(100).join())
  assert.is(new Set(dropped).size, 4)
  assert.is.not(order.epochOrder(1).join(), first)
  const other = new TrainingOrder({ count: 103, batchSize: 10, seed: 2 })
  assert.is.not(other.epochOrder(0).join(), first)
})

test('a run resumed in the middle of an epoch sees the batches it would have seen', () => {
  const options = { count: 1000, batchSize: 32, seed: 9 }
  const whole = new TrainingOrder(options)
  const steps = range(3 * whole.batchesPerEpoch)
  const batches = steps.map((step) => [...whole.batch(step)])
  for (const start of [0, 1, 45, 92]) {
    const resumed = new TrainingOrder(options)
    for (const step of steps.slice(start)) assert.equal([...resumed.batch(step)], batches[step])
  }
})

test('a batch stays as it was when later ones are asked for', () => {
  const order = new TrainingOrder({ count: 40, batchSize: 8, seed: 3 })
  const batch = order.batch(0)
  const copy = [...batch]
  order.batch(5)
  assert.equal([...batch], copy)
})

test('shuffle: false keeps the order of the data set', () => {
  const order = new TrainingOrder({ count: 7, batchSize: 3, seed: 3, shuffle: false })
  assert.equal(
    range(4).map((step) => [...order.batch(step)]),
    [
      [0, 1, 2],
      [3, 4, 5],
      [0, 1, 2],
      [3, 4, 5],
    ],
  )
})

test('a batch as large as the data set is legal, a larger one names both numbers', () => {
  assert.is(new TrainingOrder({ count: 8, batchSize: 8, seed: 1 }).batchesPerEpoch, 1)
  assert.throws(
    () => new TrainingOrder({ count: 100, batchSize: 128, seed: 1 }),
    'batchSize is 128, expected at most the 100 training examples of the data set',
  )
})

test('sizes that make no sense are refused', () => {
  assert.throws(
    () => new TrainingOrder({ count: 100, batchSize: 1, seed: 1 }),
    'batchSize is 1, expected at least 2: batch normalisation has no variance over one image',
  )
  for (const batchSize of [0, -4, 2.5, Number.NaN]) {
    assert.throws(
      () => new TrainingOrder({ count: 100, batchSize, seed: 1 }),
      `batchSize is ${batchSize}, expected an integer from 1`,
    )
  }
  assert.throws(
    () => new TrainingOrder({ count: 0, batchSize: 2, seed: 1 }),
    'count is 0, expected an integer from 1',
  )
  assert.throws(
    () => new TrainingOrder({ count: 10, batchSize: 2, seed: -1 }),
    /^seed is -1, expected an integer/,
  )
  const order = new TrainingOrder({ count: 10, batchSize: 2, seed: 1 })
  for (const step of [-1, 0.5, Number.NaN]) {
    assert.throws(() => order.batch(step), `step is ${step}, expected an integer from 0`)
  }
})

test('evaluation keeps the last, smaller batch, be it one image', () => {
  assert.equal(
    evaluationBatches(7, 3).map((batch) => [...batch]),
    [[0, 1, 2], [3, 4, 5], [6]],
  )
  assert.equal(
    evaluationBatches(6, 3).map((batch) => batch.length),
    [3, 3],
  )
  assert.equal(
    evaluationBatches(2, 100).map((batch) => [...batch]),
    [[0, 1]],
  )
  assert.equal(
    evaluationBatches(2, 1).map((batch) => [...batch]),
    [[0], [1]],
  )
  assert.throws(() => evaluationBatches(0, 3), 'count is 0, expected an integer from 1')
  assert.throws(() => evaluationBatches(3, 0), 'batchSize is 0, expected an integer from 1')
})

test('gatherLabels', () => {
  const labels = Uint32Array.of(5, 6, 7)
  assert.equal([...gatherLabels(labels, Uint32Array.of(2, 0))], [7, 5])
  const out = new Uint32Array(3)
  assert.is(gatherLabels(labels, Uint32Array.of(1), out), out)
  assert.equal([...out], [6, 0, 0])
  assert.throws(
    () => gatherLabels(labels, Uint32Array.of(0, 3)),
    'index 3 at place 1 of the batch, expected below the 3 labels',
  )
  assert.throws(
    () => gatherLabels(labels, Uint32Array.of(0, 1), new Uint32Array(1)),
    'out has 1 places, expected 2',
  )
})

test.run()
