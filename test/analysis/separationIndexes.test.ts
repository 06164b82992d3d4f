import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SeparationIndexes, type SeparationOptions } from '../../src/analysis/separationIndexes.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { normals, openDevices, withBindingLimit } from '../devices.ts'
import { centredRows, rowsOf, separationReference } from '../reference/similarity.ts'
import { thrown } from '../thrown.ts'

// f32 sums of deviations against float64: measured below 1e-6, worst at mean 50 and one feature.
const TOLERANCE = 1e-5

const { gpu, wide, both } = await openDevices()

function near(got: number | null, expected: number, what: string): void {
  assert.ok(
    got !== null && Math.abs(got - expected) < TOLERANCE,
    `${what}: ${got}, expected ${expected}`,
  )
}

function clustered(labels: Uint32Array, p: number, mean: number): Float32Array {
  const centres = normals(p * 64, 7)
  return normals(labels.length * p, 8).map(
    (value, i) => mean + value + 0.5 * centres[(labels[Math.floor(i / p)]! % 64) * p + (i % p)]!,
  )
}

async function indexesOf(
  on: Gpu,
  x: Float32Array,
  labels: Uint32Array,
  classes: number,
  options: SeparationOptions & { batch?: number } = {},
) {
  const n = labels.length
  const p = x.length / n
  const batch = options.batch ?? n
  const indexes = new SeparationIndexes(on, [{ layer: 'x', features: p }], classes, options)
  for (const pass of ['add', 'addCentered'] as const) {
    for (let first = 0; first < n; first += batch) {
      const rows = x.subarray(first * p, (first + batch) * p)
      const array = on.upload('f32', [rows.length / p, p], rows)
      indexes[pass]([array], labels.subarray(first, first + batch))
      array.release()
    }
    indexes.centre()
  }
  const [result] = await indexes.result()
  indexes.release()
  return result!
}

const unbalanced = (n: number, classes: number) =>
  Uint32Array.from({ length: n }, (_, i) => Math.floor(classes * ((i % 10) / 10) ** 2))

test('three indexes agree with their double sums at any shape, mean and balance', async () => {
  for (const n of [4, 17, 250])
    for (const p of [1, 5, 41, 512])
      for (const mean of [0, 50])
        for (const balanced of [true, false]) {
          const classes = 3
          const labels = balanced
            ? Uint32Array.from({ length: n }, (_, i) => i % classes)
            : unbalanced(n, classes)
          if (new Set(labels).size < 2) continue
          const x = clustered(labels, p, mean)
          const rows = rowsOf(x, n)
          for (const on of n === 17 ? both : [gpu])
            for (const centre of ['example', 'class'] as const) {
              const what = `n ${n}, p ${p}, mean ${mean}, balanced ${balanced}, ${centre}`
              const result = await indexesOf(on, x, labels, classes, { centre, batch: 100 })
              const euclidean = separationReference(rows, labels, classes, 'euclidean')
              near(result.euclidean.r2, euclidean.r2, `${what}, Euclidean`)
              near(result.euclidean.totalDistance / euclidean.total, 1, `${what}, total`)
              const present = result.euclidean.perClass.filter((term) => term !== null)
              for (const [k, within] of euclidean.within.entries())
                near(present[k]!.r2, 1 - within / euclidean.total, `${what}, class ${k}`)
              const centred = centredRows(rows, centre, labels)
              const expected = separationReference(centred, labels, classes)
              near(result.cosineCentered.r2, expected.r2, `${what}, mean-subtracted`)
              if (p > 1 || mean === 0)
                near(result.cosine.r2, separationReference(rows, labels, classes).r2, what)
            }
        }
})

test('2,000 examples of 64 classes and 100,000 features', async () => {
  const tall = unbalanced(2000, 64)
  const x = clustered(tall, 6, 50)
  const rows = rowsOf(x, 2000)
  const result = await indexesOf(gpu, x, tall, 64, { batch: 1100 })
  near(result.euclidean.r2, separationReference(rows, tall, 64, 'euclidean').r2, 'Euclidean')
  const centred = centredRows(rows, 'example', tall)
  near(result.cosineCentered.r2, separationReference(centred, tall, 64).r2, 'mean-subtracted')

  const few = Uint32Array.from({ length: 12 }, (_, i) => i % 3)
  const base = clustered(few, 400, 50)
  const wideRows = Float32Array.from(
    { length: 12 * 100_000 },
    (_, i) => base[Math.floor(i / 100_000) * 400 + (i % 400)]!,
  )
  // Features repeated change neither index.
  const far = await indexesOf(gpu, wideRows, few, 3)
  const of = rowsOf(base, 12)
  near(far.euclidean.r2, separationReference(of, few, 3, 'euclidean').r2, '100,000 features')
  near(
    far.cosineCentered.r2,
    separationReference(centredRows(of, 'example', few), few, 3).r2,
    '100,000 features, mean-subtracted',
  )
})

test('the golden difference between the two means where classes are of unlike sizes', async () => {
  const labels = unbalanced(90, 4)
  const x = clustered(labels, 8, 1)
  const byExample = await indexesOf(gpu, x, labels, 4)
  const byClass = await indexesOf(gpu, x, labels, 4, { centre: 'class' })
  assert.is.not(byExample.cosineCentered.r2, byClass.cosineCentered.r2)
  assert.is(byExample.euclidean.r2, byClass.euclidean.r2)
})

test('rows of zeros count by Euclidean distance like any other; duplicates too', async () => {
  const labels = Uint32Array.from({ length: 24 }, (_, i) => i % 3)
  const x = clustered(labels, 8, 5)
  x.fill(0, 0, 3 * 8)
  for (let i = 4; i < 24; i += 2) x.copyWithin((i + 1) * 8, i * 8, (i + 1) * 8)
  const result = await indexesOf(gpu, x, labels, 3, { batch: 7 })
  const rows = rowsOf(x, 24)
  near(result.euclidean.r2, separationReference(rows, labels, 3, 'euclidean').r2, 'Euclidean')
  assert.is(result.euclidean.zeroRows, 0)
  assert.is(result.cosine.zeroRows, 3)
})

test('one example a class separates perfectly', async () => {
  const result = await indexesOf(
    gpu,
    normals(12 * 9, 1),
    Uint32Array.from({ length: 12 }, (_, i) => 11 - i),
    12,
  )
  near(result.euclidean.r2, 1, 'Euclidean')
  near(result.cosineCentered.r2, 1, 'mean-subtracted')
})

test('where one is undefined it is null, with the reason', async () => {
  const labels = Uint32Array.from({ length: 12 }, (_, i) => i % 2)
  const x = normals(12 * 4, 1)
  const cases: [Float32Array, Uint32Array, RegExp, RegExp][] = [
    [x, new Uint32Array(12), /one class/, /one class/],
    [new Float32Array(48), labels, /examples are the same/, /all features of all .* are 0/],
    [x.map((_, i) => 0.1 + (i % 4)), labels, /examples are the same/, /are 0|one direction/],
    [x.map((v, i) => (i === 9 ? Number.NaN : v)), labels, /^1 examples hold NaN/, /hold NaN/],
    [x.map((v) => v * 1e25), labels, /12 examples .* too large to square/, /too large/],
  ]
  for (const [features, of, euclidean, centered] of cases) {
    const result = await indexesOf(gpu, features, of, 2)
    assert.is(result.euclidean.r2, null)
    assert.match(result.euclidean.undefined ?? '', euclidean)
    assert.is(result.cosineCentered.r2, null)
    assert.match(result.cosineCentered.undefined ?? '', centered)
  }
})

test('a small binding limit, repetition to the same bits, and passes out of order', async () => {
  const labels = unbalanced(40, 20)
  const x = clustered(labels, 100, 3)
  const small = withBindingLimit(gpu, 8192)
  const cut = await indexesOf(small, x, labels, 20, { batch: 15 })
  const rows = rowsOf(x, 40)
  near(cut.euclidean.r2, separationReference(rows, labels, 20, 'euclidean').r2, 'cut up')
  near(
    cut.cosineCentered.r2,
    separationReference(centredRows(rows, 'example', labels), labels, 20).r2,
    'cut up, mean-subtracted',
  )
  const first = await indexesOf(gpu, x, labels, 20, { batch: 15 })
  assert.equal(await indexesOf(gpu, x, labels, 20, { batch: 15 }), first)

  const indexes = new SeparationIndexes(gpu, [{ layer: 'x', features: 2 }], 2)
  const array = gpu.zeros('f32', [4, 2])
  const of = new Uint32Array([0, 1, 0, 1])
  assert.throws(() => indexes.addCentered([array], of), /addCentered came before centre/)
  indexes.add([array], of)
  indexes.centre()
  assert.throws(() => indexes.add([array], of), /add came after centre/)
  assert.match((await thrown(() => indexes.result())).message, /no batch was added/)
  const two = gpu.zeros('f32', [2, 2])
  indexes.addCentered([two], of.subarray(0, 2))
  assert.match((await thrown(() => indexes.result())).message, /saw 4 and 2 examples/)
  indexes.release()
})

test.after(() => {
  wide.close()
  gpu.close()
})

test.run()
