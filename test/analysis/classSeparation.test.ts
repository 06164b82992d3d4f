import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ClassSeparation } from '../../src/analysis/classSeparation.ts'
import type { AnalysisVariant } from '../../src/analysis/features.ts'
import type { Labels } from '../../src/analysis/labels.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { normals, openDevices, withBindingLimit } from '../devices.ts'
import { rowsOf, separationClosedForm, separationReference } from '../reference/similarity.ts'
import { thrown } from '../thrown.ts'

// f32 sums of unit rows' deviations against float64: measured below 4e-7, worst at mean 50.
const TOLERANCE = 1e-5

const { gpu, wide, both } = await openDevices()

function near(got: number | null, expected: number, what: string, tolerance = TOLERANCE): void {
  assert.ok(
    got !== null && Math.abs(got - expected) < tolerance,
    `${what}: ${got}, expected ${expected}`,
  )
}

/** Features about `mean` plus a centre of each class. */
function clustered(labels: Uint32Array, p: number, mean: number): Float32Array {
  const centres = normals(p * 400, 7)
  return normals(labels.length * p, 8).map(
    (value, i) => mean + value + 0.5 * centres[labels[Math.floor(i / p)]! * p + (i % p)]!,
  )
}

async function separationOf(
  on: Gpu,
  x: Float32Array,
  labels: Uint32Array,
  classes: number,
  options: { batch?: number; variant?: AnalysisVariant } = {},
) {
  const n = labels.length
  const p = x.length / n
  const batch = options.batch ?? n
  const separation = new ClassSeparation(
    on,
    [{ layer: 'x', features: p }],
    classes,
    options.variant,
  )
  for (let first = 0; first < n; first += batch) {
    const rows = x.subarray(first * p, (first + batch) * p)
    const array = on.upload('f32', [rows.length / p, p], rows)
    separation.add([array], labels.subarray(first, first + batch))
    array.release()
  }
  const [result] = await separation.result()
  separation.release()
  return result!
}

test('agrees with the double sum over all pairs at any shape, mean, balance and variant', async () => {
  for (const n of [4, 5, 17, 64, 250])
    for (const p of [1, 3, 5, 41, 512, 4099])
      for (const mean of [0, 50])
        for (const classes of [3, 300]) {
          // 300 classes leave one example a class, most of them none; 3 are of very unlike sizes.
          const labels = Uint32Array.from({ length: n }, (_, i) =>
            classes === 300 ? (i * 7) % 300 : [0, 0, 2, 0, 1, 2, 0][i % 7]!,
          )
          const x = clustered(labels, p, mean)
          const expected = separationReference(rowsOf(x, n), labels, classes)
          for (const on of n === 64 ? both : [gpu])
            for (const variant of p === 512 ? [{}, { vectorised: false }] : [{}]) {
              const what = `n ${n}, p ${p}, mean ${mean}, ${classes} classes`
              const result = await separationOf(on, x, labels, classes, { variant })
              near(result.totalDistance, expected.total, `${what}, total`)
              const terms = result.perClass.filter((term) => term !== null)
              for (const [k, within] of expected.within.entries())
                near(terms[k]!.withinDistance, within, `${what}, class ${k}`)
              if (p === 1 && mean === 50) assert.is(result.r2, null)
              else near(result.r2, expected.r2, what)
            }
        }
})

test('streamed in uneven batches, recorded or not, many layers at once', async () => {
  const [n, classes] = [330, 10]
  const labels = Uint32Array.from({ length: n }, (_, i) => (i * i) % 10)
  const widths = [5, 64, 41]
  const layers = widths.map((features, i) => ({ layer: `l${i}`, features }))
  const data = widths.map((p, i) => clustered(labels, p, 20 * i))
  for (const on of both) {
    const separation = new ClassSeparation(on, layers, classes)
    await on.flush()
    const batchOf = (first: number, count: number) => ({
      arrays: data.map((x, i) =>
        on.upload(
          'f32',
          [count, widths[i]!],
          x.subarray(first * widths[i]!, (first + count) * widths[i]!),
        ),
      ),
      labels: on.upload('u32', [count], labels.subarray(first, first + count)),
    })
    for (const [first, count] of [
      [0, 128],
      [128, 128],
      [256, 74],
    ] as const) {
      const batch = batchOf(first, count)
      await on.flush()
      const { program } = await on.record(() => separation.add(batch.arrays, batch.labels))
      const before = on.memory()
      program.run()
      assert.equal(on.memory(), before, 'a replay creates nothing')
      program.dispose()
      for (const array of [...batch.arrays, batch.labels]) array.release()
    }
    for (const [i, result] of (await separation.result()).entries()) {
      const expected = separationReference(rowsOf(data[i]!, n), labels, classes)
      near(result.r2, expected.r2, `layer ${i}`)
      assert.is(result.n, n)
      assert.is(result.classes, new Set(labels).size)
    }
    separation.reset()
    assert.match((await thrown(() => separation.result())).message, /no batch was added/)
    separation.release()
  }
})

test('100,000 features, and 50,000 rows', async () => {
  const wideLabels = Uint32Array.from({ length: 24 }, (_, i) => i % 3)
  const wideRows = clustered(wideLabels, 400, 50)
  const x = Float32Array.from(
    { length: 24 * 100_000 },
    (_, i) => wideRows[Math.floor(i / 100_000) * 400 + (i % 400)]!,
  )
  // Features repeated do not change a cosine.
  const expected = separationReference(rowsOf(wideRows, 24), wideLabels, 3)
  near((await separationOf(gpu, x, wideLabels, 3)).r2, expected.r2, '100,000 features')

  const [n, p, classes] = [50_000, 6, 7]
  const labels = Uint32Array.from({ length: n }, (_, i) =>
    Math.min(6, Math.floor((i % 100) ** 0.5)),
  )
  const tall = clustered(labels, p, 50)
  const result = await separationOf(gpu, tall, labels, classes, { batch: 20_000 })
  near(result.r2, separationClosedForm(tall, labels, classes), '50,000 rows')
  assert.is(result.n, n)
})

test('rows of zeros are at distance 1 from everything and counted', async () => {
  const labels = Uint32Array.from({ length: 30 }, (_, i) => i % 4)
  for (const mean of [0, 50]) {
    const x = clustered(labels, 6, mean)
    for (const row of [3, 4, 8, 29]) x.fill(0, row * 6, row * 6 + 6)
    const result = await separationOf(gpu, x, labels, 5)
    near(result.r2, separationReference(rowsOf(x, 30), labels, 5).r2, `mean ${mean}`)
    assert.is(result.zeroRows, 4)
    assert.equal(
      result.perClass.map((term) => term?.zeroRows ?? null),
      [2, 1, 0, 1, null],
    )
  }
})

test('all zeros before anything else, and duplicated rows', async () => {
  const labels = Uint32Array.from({ length: 24 }, (_, i) => i % 3)
  const x = clustered(labels, 8, 50)
  x.fill(0, 0, 8 * 8)
  for (let i = 0; i < 24; i += 2) x.copyWithin((i + 1) * 8, i * 8, (i + 1) * 8)
  const result = await separationOf(gpu, x, labels, 3, { batch: 8 })
  near(result.r2, separationReference(rowsOf(x, 24), labels, 3).r2, 'first batch all zeros')
})

test('one example a class separates perfectly', async () => {
  const labels = Uint32Array.from({ length: 12 }, (_, i) => 11 - i)
  near((await separationOf(gpu, normals(12 * 9, 1), labels, 12)).r2, 1, 'one example a class')
})

test('where it is undefined it is null, with the reason', async () => {
  const labels = Uint32Array.from({ length: 12 }, (_, i) => i % 2)
  const x = normals(12 * 4, 1)
  const cases: [Float32Array, Uint32Array, RegExp][] = [
    [x, new Uint32Array(12), /one class/],
    [new Float32Array(48), labels, /all features of all examples are 0/],
    [x.map((_, i) => 0.1 + (i % 4)), labels, /one direction/],
    [x.map((_, i) => (0.1 + (i % 4)) * (1 + Math.floor(i / 4))), labels, /one direction/],
    [x.map((value, i) => (i === 9 ? Number.NaN : value)), labels, /^1 examples hold NaN/],
    [x.map((value, i) => (i === 9 ? -1 / 0 : value)), labels, /^1 examples hold NaN, infinities/],
    [x.map((value) => value * 1e25), labels, /12 examples .* too large/],
    [x.map((value) => value * 1e-30), labels, /12 examples .* too large or small/],
  ]
  for (const [features, of, reason] of cases) {
    const result = await separationOf(gpu, features, of, 2)
    assert.is(result.r2, null)
    assert.match(result.undefined ?? '', reason)
  }
})

test('class sums beyond the binding limit are cut up', async () => {
  const small = withBindingLimit(gpu, 8192)
  const labels = Uint32Array.from({ length: 17 }, (_, i) => (i * 5) % 40)
  const x = clustered(labels, 100, 3)
  const result = await separationOf(small, x, labels, 40)
  near(result.r2, separationReference(rowsOf(x, 17), labels, 40).r2, 'under a small limit')
})

test('the same bits when repeated', async () => {
  const labels = Uint32Array.from({ length: 200 }, (_, i) => i % 10)
  const x = clustered(labels, 300, 1)
  for (const on of both) {
    const first = await separationOf(on, x, labels, 10, { batch: 70 })
    assert.equal(await separationOf(on, x, labels, 10, { batch: 70 }), first)
  }
})

test('bad input is named before anything runs', async () => {
  const layers = [
    { layer: 'stem', features: 4 },
    { layer: 'pool', features: 2 },
  ]
  const separation = new ClassSeparation(gpu, layers, 3)
  const add = (shapes: number[][], labels: Labels) => () =>
    separation.add(
      shapes.map((shape) => gpu.empty('f32', shape)),
      labels,
    )
  const labels = new Uint32Array([0, 2, 1])
  assert.throws(() => new ClassSeparation(gpu, [], 3), /no layer was given/)
  assert.throws(() => new ClassSeparation(gpu, layers, 0), /classes is 0, expected an integer/)
  assert.throws(add([[3, 4]], labels), /1 layers came, expected 2/)
  assert.throws(
    add(
      [
        [3, 4],
        [3, 3],
      ],
      labels,
    ),
    /pool: an example has 3 features, expected 2/,
  )
  assert.throws(
    add(
      [
        [3, 2, 2],
        [4, 2],
      ],
      labels,
    ),
    /pool: 4 examples, but stem has 3 of them/,
  )
  assert.throws(
    add(
      [
        [4, 4],
        [4, 2],
      ],
      labels,
    ),
    /3 labels came for 4 examples/,
  )
  assert.throws(
    add(
      [
        [3, 4],
        [3, 2],
      ],
      new Uint32Array([0, 3, 1]),
    ),
    /label 1 is 3, expected/,
  )
  const onDevice = gpu.upload('u32', [3], new Uint32Array([0, 7, 3]))
  add(
    [
      [3, 4],
      [3, 2],
    ],
    onDevice,
  )()
  assert.match(
    (await thrown(() => separation.result())).message,
    /labels: 2 labels are 3 or more, the number of classes/,
  )
  separation.release()
})

test.after(() => {
  wide.close()
  gpu.close()
})

test.run()
