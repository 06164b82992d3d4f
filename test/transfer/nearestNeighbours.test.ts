import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LabelledFeatures } from '../../src/transfer/labelledFeatures.ts'
import { distanceSpaces, exactDistance, metrics } from '../../src/transfer/metric.ts'
import { nearestNeighbours } from '../../src/transfer/nearestNeighbours.ts'
import { findNeighbours } from '../../src/transfer/neighbours.ts'
import { rejection } from '../data/temporaryFolder.ts'
import { normals, openDevices } from '../devices.ts'
import { readFixture } from './fixture.ts'

const { gpu, both } = await openDevices()

for (const name of ['digits', 'rectified', 'illConditioned', 'duplicated'])
  for (const metric of metrics)
    test(`${name}, ${metric}: k, leave-one-out and predictions are scikit-learn's`, async () => {
      const { train, test: held, answers } = await readFixture(name)
      const { k, leave_one_out, predictions } = answers.knn[metric]
      const found = await nearestNeighbours(gpu, train, held, {
        metric,
        mostNeighbours: leave_one_out.length,
      })
      assert.equal(found.leaveOneOut, leave_one_out)
      assert.is(found.k, k)
      assert.equal([...found.predictions], predictions)
    })

function set(name: string, features: Float32Array, labels: number[]): LabelledFeatures {
  const width = features.length / labels.length
  return { name, features, labels: Uint32Array.from(labels), width }
}

for (const metric of metrics)
  test(`${metric}: neighbours in exact order, over several blocks, on narrow and wide devices`, async () => {
    const [n, m, p, count] = [9001, 1100, 5, 7]
    // On a common mean of 1000, where |a|² + |b|² - 2ab would lose all digits.
    const features = normals(n * p, 1).map((value) => 1000 + value)
    const references = set('references', features, [...Array(n).keys()])
    const queries = set(
      'queries',
      normals(m * p, 2).map((value) => 1000 + value),
      [...Array(m).keys()],
    )
    const spaces = distanceSpaces(metric, references, queries)
    const found = []
    for (const device of both)
      found.push(await findNeighbours(device, spaces.queries, spaces.references, count, false))
    assert.equal(found[0]!.indices, found[1]!.indices)
    for (const query of [0, 1, 513, 1023, 1024, 1099]) {
      const expected = [...Array(n).keys()]
        .map((i) => ({ i, d: exactDistance(spaces.queries, query, spaces.references, i) }))
        .sort((a, b) => a.d - b.d || a.i - b.i)
        .slice(0, count)
        .map(({ i }) => i)
      const indices = found[0]!.indices.subarray(query * count, (query + 1) * count)
      assert.equal([...indices], expected, `query ${query}`)
    }
  })

test('an example is left out by index: its duplicates stay', async () => {
  // Pairs of equal rows with the same label, pairs far apart: leave-one-out is right for k = 1 only
  // because the duplicate counts.
  const rows = [0, 0, 10, 10, 20, 20, 30, 30]
  const train = set(
    'train',
    Float32Array.from(rows.flatMap((x) => [x, 1])),
    [0, 0, 1, 1, 0, 0, 1, 1],
  )
  const found = await nearestNeighbours(gpu, train, train, { metric: 'euclidean' })
  assert.is(found.k, 1)
  assert.is(found.leaveOneOut.length, 7)
  assert.is(found.leaveOneOut[0], 1)
  assert.is(found.accuracy, 1)
})

test('rows that are all alike: the lowest indices are nearest', async () => {
  const features = new Float32Array(300).fill(2)
  const space = distanceSpaces(
    'euclidean',
    set('a', features, Array(100).fill(0)),
    set('b', features, Array(100).fill(0)),
  )
  const { indices } = await findNeighbours(gpu, space.queries, space.references, 3, true)
  assert.equal([...indices.subarray(0, 9)], [1, 2, 3, 0, 2, 3, 0, 1, 3])
})

test('cosine: a row of zeros is at distance 1 from all', async () => {
  const train = set('train', Float32Array.of(1, 0, 0, 1, 0, 0, -1, 0), [0, 1, 2, 3])
  const queries = set('queries', Float32Array.of(0, 0, 0.1, 1), [0, 1])
  const spaces = distanceSpaces('cosine', train, queries)
  const distances = [0, 1, 2, 3].map(
    (i) => exactDistance(spaces.queries, 0, spaces.references, i) / 2,
  )
  for (const distance of distances) assert.ok(Math.abs(distance - 1) < 1e-15)
  const { indices } = await findNeighbours(gpu, spaces.queries, spaces.references, 4, false)
  // Cosines 0.0995, 0.995, 0 and -0.0995 with the second query.
  assert.equal([...indices.subarray(4)], [1, 0, 2, 3])
})

test('what does not fit is refused by name', async () => {
  const good = set('good', normals(12, 3), [0, 1, 0, 1])
  const fails = (train: LabelledFeatures, held: LabelledFeatures, options = {}) =>
    rejection(nearestNeighbours(gpu, train, held, options))
  assert.match(await fails(set('one', normals(6, 1), [2, 2]), good), /class 2 only/)
  assert.match(await fails(good, set('wide', normals(8, 1), [0, 1])), /wide has 4 features/)
  assert.match(await fails(good, good, { mostNeighbours: 0 }), /mostNeighbours is 0/)
  const broken = set('broken', Float32Array.of(1, 2, Number.POSITIVE_INFINITY), [0])
  assert.match(await fails(good, broken), /broken: feature 2 of example 0 is Infinity/)
})

test.after(() => gpu.close())
test.run()
