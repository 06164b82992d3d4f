import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { CollapseMeasures, CollapseOptions } from '../../src/analysis/collapseResult.ts'
import { NeuralCollapse } from '../../src/analysis/neuralCollapse.ts'
import { type SpectrumOptions, spectrum } from '../../src/analysis/spectrum.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { normals, openDevices } from '../devices.ts'
import { thrown } from '../thrown.ts'

const fixtures = path.join(packageRoot(), 'test/fixtures/collapse/collapse.safetensors')
const { tensors } = await readSafetensors(fixtures)
const CASES = ['fewClasses', 'manyClasses', 'rankThree', 'uneven'] as const
const COLUMNS = [
  'cvMu',
  'cvW',
  'stdCosMu',
  'stdCosW',
  'avgCosMu',
  'avgCosW',
  'duality',
  'trace',
] as const

const { gpu, wide, both } = await openDevices()

function fixture(name: string) {
  const get = (key: string) => tensors.get(`${name}/${key}`)!
  const [n, p] = get('features').shape as [number, number]
  return {
    n,
    p,
    classes: get('weights').shape[0]!,
    x: get('features').data as Float32Array,
    weights: get('weights').data as Float32Array,
    labels: Uint32Array.from(get('labels').data as Float32Array),
    values: (key: string) => get(key).data as Float32Array,
  }
}

async function collapse(
  on: Gpu,
  data: { n: number; p: number; classes: number; x: Float32Array; labels: Uint32Array },
  weights: Float32Array | undefined,
  options: CollapseOptions & { batch?: number } = {},
) {
  const { n, p, classes, x, labels } = data
  const batch = options.batch ?? n
  const analysis = new NeuralCollapse(on, { layer: 'x', features: p }, classes, options)
  for (const pass of ['add', 'addDeviations'] as const) {
    for (let first = 0; first < n; first += batch) {
      const rows = x.subarray(first * p, (first + batch) * p)
      const array = on.upload('f32', [rows.length / p, p], rows)
      analysis[pass](array, labels.subarray(first, first + batch))
      array.release()
    }
    if (pass === 'add') await analysis.centre(weights && on.upload('f32', [classes, p], weights))
  }
  const result = await analysis.result()
  analysis.release()
  return result
}

test('all eight measures of Table E.2 against SciPy: C < P, C > P, rank 3, uneven about 50', async () => {
  for (const name of CASES) {
    const data = fixture(name)
    for (const on of both)
      for (const ddof of [0, 1] as const) {
        const expected = data.values(ddof ? 'measuresDdof1' : 'measures')
        const result = await collapse(on, data, data.weights, { ddof, batch: 50 })
        assert.equal(result.undefined, {})
        assert.is(result.n, data.n)
        for (const [i, column] of COLUMNS.entries()) {
          const got = result[column as keyof CollapseMeasures]!
          // Means and products in f32, fixtures stored in f32: measured below 6e-8, relative.
          const tolerance = 1e-6
          const wanted = expected[i]!
          assert.ok(
            Math.abs(got - wanted) < tolerance * Math.max(1, Math.abs(wanted)),
            `${name}, ddof ${ddof}, ${column}: ${got}, expected ${wanted}`,
          )
        }
        assert.is(result.rank, { fewClasses: 9, manyClasses: 5, rankThree: 3, uneven: 5 }[name])
      }
  }
})

test('a simplex of classes without spread has collapsed', async () => {
  const [classes, p] = [5, 8]
  const n = 4 * classes
  const labels = Uint32Array.from({ length: n }, (_, i) => i % classes)
  const x = new Float32Array(n * p)
  for (const [i, k] of labels.entries()) x[i * p + k] = 2
  const weights = new Float32Array(classes * p)
  for (let k = 0; k < classes; k++)
    for (let j = 0; j < classes; j++) weights[k * p + j] = (k === j ? 1 : 0) - 1 / classes
  const result = await collapse(gpu, { n, p, classes, x, labels }, weights)
  for (const column of COLUMNS)
    assert.ok(Math.abs(result[column]!) < 1e-6, `${column}: ${result[column]}`)
  assert.is(result.rank, classes - 1)
})

test('conventions: unit weights, the trace undivided', async () => {
  const data = fixture('fewClasses')
  const plain = await collapse(gpu, data, data.weights)
  const scaled = data.weights.map((w, i) => w * (1 + Math.floor(i / data.p)))
  const unit = await collapse(gpu, data, scaled, { unitWeights: true, tracePerClass: false })
  assert.is(unit.cvW, 0)
  assert.ok(Math.abs(unit.stdCosW! - plain.stdCosW!) < 1e-6)
  assert.ok(Math.abs(unit.trace! / plain.trace! / data.classes - 1) < 1e-6)
  const normed = data.weights.map((w, i) => {
    const row = data.weights.subarray(
      Math.floor(i / data.p) * data.p,
      (Math.floor(i / data.p) + 1) * data.p,
    )
    return w / Math.hypot(...row)
  })
  const expected = await collapse(gpu, data, normed)
  assert.ok(Math.abs(unit.duality! - expected.duality!) < 1e-5)
})

test('where a measure is undefined it is null, with the reason', async () => {
  const data = fixture('fewClasses')
  const none = await collapse(gpu, data, undefined)
  assert.is(none.cvW, null)
  assert.match(none.undefined.duality!, /no weights/)
  assert.type(none.trace, 'number')
  const one = await collapse(gpu, { ...data, labels: new Uint32Array(data.n) }, data.weights)
  assert.is(one.trace, null)
  assert.match(one.undefined.cvMu!, /one class/)
  assert.type(one.cvW, 'number')
  const same = await collapse(gpu, { ...data, x: data.x.map((_, i) => i % data.p) }, data.weights)
  assert.match(same.undefined.trace!, /all classes have one mean/)
  const missing = await collapse(
    gpu,
    { ...data, classes: 11 },
    new Float32Array(11 * data.p).fill(1),
  )
  assert.match(missing.undefined.duality!, /1 of the 11 classes have no examples/)
  assert.type(missing.trace, 'number')
  const bad = await collapse(
    gpu,
    { ...data, x: data.x.map((v, i) => (i === 5 ? Number.NaN : v)) },
    data.weights,
  )
  assert.match(bad.undefined.trace!, /hold NaN/)
})

test('passes out of order, other shapes and unlike passes are named', async () => {
  const analysis = new NeuralCollapse(gpu, { layer: 'x', features: 2 }, 2)
  const x = gpu.zeros('f32', [4, 2])
  const labels = new Uint32Array([0, 1, 0, 1])
  assert.throws(() => analysis.addDeviations(x, labels), /addDeviations came before centre/)
  assert.match((await thrown(() => analysis.centre())).message, /no batch was added/)
  assert.match((await thrown(() => analysis.result())).message, /result came before centre/)
  analysis.add(x, labels)
  const weights = gpu.zeros('f32', [2, 3])
  assert.match((await thrown(() => analysis.centre(weights))).message, /weights are \[2,3\]/)
  await analysis.centre()
  assert.throws(() => analysis.add(x, labels), /add came after centre/)
  assert.match((await thrown(() => analysis.result())).message, /saw 4 and 0 examples/)
  analysis.release()
  assert.throws(
    () => new NeuralCollapse(gpu, { layer: 'x', features: 10 ** 6 }, 1000),
    /x: class means of 1000 classes and 1000000 features exceed/,
  )
})

const sourceOf = (name: string, x: Float32Array, n: number) => {
  const p = x.length / n
  return {
    name,
    n,
    p,
    read: (rows: Uint32Array, first: number, count: number) =>
      Float32Array.from({ length: rows.length * count }, (_, i) => {
        const row = rows[Math.floor(i / count)]!
        return x[row * p + first + (i % count)]!
      }),
  }
}

async function singularValues(on: Gpu, x: Float32Array, n: number, options: SpectrumOptions = {}) {
  const { singularValues: values, resolution } = await spectrum(on, sourceOf('x', x, n), options)
  return { values, resolution }
}

test('singular values against SciPy, tall and wide, centred or not', async () => {
  for (const name of CASES) {
    const { x, n, p, values } = fixture(name)
    const transposed = Float32Array.from(x, (_, i) => x[(i % n) * p + Math.floor(i / n)]!)
    for (const on of both)
      for (const [key, centre] of [
        ['singular', false],
        ['singularCentred', true],
      ] as const) {
        const tall = await singularValues(on, x, n, { centre })
        const expected = values(key)
        assert.is(tall.values.length, expected.length)
        // An eigenvalue is off by the rounding of products, a small singular value by its root.
        for (const [i, value] of expected.entries())
          assert.ok(
            Math.abs(tall.values[i]! ** 2 - value ** 2) < tall.resolution ** 2,
            `${name}, ${key} ${i}: ${tall.values[i]}, expected ${value}`,
          )
        if (centre) continue
        const wideOnes = await singularValues(on, transposed, p)
        for (const [i, value] of expected.entries())
          assert.ok(Math.abs(wideOnes.values[i]! ** 2 - value ** 2) < wideOnes.resolution ** 2)
      }
  }
  const twice = normals(6 * 50, 1)
  twice.copyWithin(50, 0, 50)
  const { values, resolution } = await singularValues(gpu, twice, 6)
  assert.ok(values[5]! <= resolution, 'a repeated row leaves no more than rounding')
  const huge = await thrown(() => spectrum(gpu, { ...sourceOf('x', twice, 6), n: 7000, p: 7000 }))
  assert.match(huge.message, /has 7000 singular values, expected at most 57/)
  const bad = await thrown(() =>
    singularValues(
      gpu,
      twice.map(() => 1e30),
      6,
    ),
  )
  assert.match(bad.message, /too large to square/)
})

test('the same bits when repeated', async () => {
  const data = fixture('uneven')
  for (const on of both) {
    const first = await collapse(on, data, data.weights, { batch: 40 })
    assert.equal(await collapse(on, data, data.weights, { batch: 40 }), first)
  }
})

test.after(() => {
  wide.close()
  gpu.close()
})

test.run()
