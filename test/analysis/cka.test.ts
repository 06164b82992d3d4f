import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cka } from '../../src/analysis/cka.ts'
import { MinibatchCka } from '../../src/analysis/minibatchCka.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { normals, openDevices } from '../devices.ts'
import { numpyRandn } from '../reference/numpyRandom.ts'
import { ckaReference, rowsOf } from '../reference/similarity.ts'
import { thrown } from '../thrown.ts'
import { near, related } from './ckaCases.ts'

const { gpu, wide, both } = await openDevices()
const variants = [{}, { images: false }, { subgroups: false }, { vectorised: false }]

async function ckaOf(
  on: Gpu,
  n: number,
  x: Float32Array,
  y: Float32Array,
  options: Parameters<typeof cka>[3] = {},
) {
  const a = on.upload('f32', [n, x.length / n], x)
  const b = on.upload('f32', [n, y.length / n], y)
  const result = await cka(on, a, b, options)
  a.release()
  b.release()
  return result
}

test('both estimators agree with float64 at any shape, mean and variant', async () => {
  for (const n of [4, 5, 17, 64, 250])
    for (const p of [1, 3, 5, 41, 512, 4099])
      for (const mean of [0, 50]) {
        const x = normals(n * p, n).map((value) => value + mean)
        const y = related(x, n, Math.ceil(p / 2), mean, p)
        const rows = [[rowsOf(x, n), rowsOf(y, n)]] as const
        for (const estimator of ['unbiased', 'biased'] as const) {
          const expected = ckaReference(rows, estimator)
          for (const on of n === 64 ? both : [gpu])
            for (const variant of p === 512 || n === 5 ? variants : [{}]) {
              const what = `n ${n}, p ${p}, mean ${mean}, ${estimator}, ${JSON.stringify(variant)}`
              const result = await ckaOf(on, n, x, y, { estimator, variant })
              near(result.cka, expected.cka, what)
              near(result.hsicXX / expected.xx, 1, `${what}, HSIC of x`)
              near(result.hsicYY / expected.yy, 1, `${what}, HSIC of y`)
            }
        }
      }
})

test('the values of the public CKA demo', async () => {
  const randn = numpyRandn(1337)
  const x = Float64Array.from({ length: 1000 }, randn)
  const y = x.map((value) => randn() + value)
  const [x32, y32] = [Float32Array.from(x), Float32Array.from(y)]
  const biased = await ckaOf(gpu, 100, x32, y32, { estimator: 'biased' })
  const unbiased = await ckaOf(gpu, 100, x32, y32)
  near(biased.cka, 0.5576132566, 'biased', 1e-6)
  near(unbiased.cka, 0.5134564895, 'unbiased', 1e-6)
})

test('many minibatches keep their digits, and the last few rows join the batch before', async () => {
  const n = 4007
  const x = normals(n * 6, 1)
  const y = related(x, n, 4, 0, 2)
  const result = await ckaOf(gpu, n, x, y, { batch: 8 })
  const rows = [rowsOf(x, n), rowsOf(y, n)] as const
  const starts = Array.from({ length: 501 }, (_, i) => 8 * i)
  const expected = ckaReference(
    starts.map((start) => [rows[0].slice(start, start + 8), rows[1].slice(start, start + 8)]),
  )
  assert.is(result.batches, 501)
  near(result.cka, expected.cka, '501 minibatches')
  const merged = await ckaOf(gpu, n - 5, x.slice(0, 6 * (n - 5)), y.slice(0, 4 * (n - 5)), {
    batch: 8,
  })
  assert.is(merged.batches, 500)
  assert.is(merged.n, n - 5)
})

test('1 with itself, and invariant to rotation and scale', async () => {
  const [n, p] = [64, 6]
  const x = normals(n * p, 1)
  const y = related(x, n, 9, 0, 2)
  for (const batch of [64, 32, 17, 4]) assert.is((await ckaOf(gpu, n, x, x, { batch })).cka, 1)
  const plain = (await ckaOf(gpu, n, x, y, { batch: 16 })).cka!
  for (const scale of [1e-9, 3, 1e9]) {
    // Reflects at a plane, an orthogonal map that mixes all features.
    const mirrored = x.map((_, i) => {
      const row = Math.floor(i / p) * p
      let sum = 0
      for (let j = 0; j < p; j++) sum += x[row + j]!
      return scale * (x[i]! - (2 / p) * sum)
    })
    near((await ckaOf(gpu, n, mirrored, y, { batch: 16 })).cka, plain, `scale ${scale}`)
  }
})

test('independent features: the unbiased estimator is near 0, the biased one near 1', async () => {
  const [n, p] = [64, 2048]
  const [x, y] = [normals(n * p, 1), normals(n * p, 2)]
  const unbiased = (await ckaOf(gpu, n, x, y)).cka!
  assert.ok(Math.abs(unbiased) < 0.05, `${unbiased}`)
  const biased = (await ckaOf(gpu, n, x, y, { estimator: 'biased' })).cka!
  assert.ok(biased > 0.95, `${biased}`)
})

test('duplicated rows are like any other, constant and other degenerate features are null', async () => {
  const [n, p] = [16, 5]
  const x = normals(n * p, 1)
  const doubled = x.map((_, i) => x[Math.floor(i / p / 2) * p + (i % p)]!)
  const expected = ckaReference([[rowsOf(doubled, n), rowsOf(x, n)]])
  near((await ckaOf(gpu, n, doubled, x)).cka, expected.cka, 'rows twice')
  for (const [what, value] of [
    ['rows of zeros', 0],
    ['rows of one number', 7],
  ] as const) {
    const flat = x.map((v, i) => (Math.floor(i / p) % 3 === 0 ? value : v))
    const like = related(flat, n, 7, 0, 3)
    for (const estimator of ['unbiased', 'biased'] as const) {
      const right = ckaReference([[rowsOf(flat, n), rowsOf(like, n)]], estimator).cka
      near((await ckaOf(gpu, n, flat, like, { estimator })).cka, right, `${what}, ${estimator}`)
    }
  }

  const undefinedWith = async (y: Float32Array, reason: RegExp) => {
    const { cka: value, undefined: why } = await ckaOf(gpu, n, x, y)
    assert.is(value, null)
    assert.match(why ?? '', reason)
  }
  await undefinedWith(
    x.map((_, i) => 0.1 + (i % p)),
    /y of B with itself is 0 up to rounding/,
  )
  await undefinedWith(new Float32Array(n * p), /do not vary/)
  const oneHot = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 0.3 : 0))
  await undefinedWith(oneHot, /equally far apart/)
  await undefinedWith(
    x.map((value, i) => (i === 7 ? Number.NaN : value)),
    /not finite/,
  )
})

test('2,000 examples', async () => {
  const n = 2000
  const x = normals(n * 3, 1).map((value) => value + 50)
  const y = related(x, n, 5, 50, 2)
  const result = await ckaOf(gpu, n, x, y)
  near(result.cka, ckaReference([[rowsOf(x, n), rowsOf(y, n)]]).cka, '2,000 examples')
})

test('the same bits when repeated', async () => {
  const [n, p] = [100, 700]
  const x = normals(n * p, 1)
  const y = related(x, n, 300, 0, 2)
  for (const on of both) {
    const first = await ckaOf(on, n, x, y, { batch: 30 })
    assert.equal(await ckaOf(on, n, x, y, { batch: 30 }), first)
  }
})

test('bad input is named before anything runs', async () => {
  const array = (...shape: number[]) => gpu.empty('f32', shape)
  const comparison = new MinibatchCka(gpu, ['stem', 'pool'], ['stem'])
  const add = (a: number[][], b: number[][]) => () =>
    comparison.add(
      a.map((shape) => array(...shape)),
      b.map((shape) => array(...shape)),
    )
  assert.throws(() => new MinibatchCka(gpu, []), /a network has no layers/)
  assert.throws(add([[8, 2]], [[8, 2]]), /features of 1 and 1 layers came, expected 2 and 1/)
  assert.throws(() => comparison.add([array(8, 2), array(8, 2)]), /of 2 and 0 layers came/)
  assert.throws(
    add(
      [
        [8, 2],
        [8, 2],
      ],
      [[9, 2]],
    ),
    /stem has 9 examples, stem has 8/,
  )
  assert.throws(
    add(
      [
        [3, 2],
        [3, 2],
      ],
      [[3, 2]],
    ),
    /a minibatch has 3 examples, expected at least 4/,
  )
  assert.throws(add([[8, 2], [8]], [[8, 2]]), /pool: features are \[8\], expected \[n, p\]/)
  assert.match(
    (await thrown(() => cka(gpu, array(8, 2), array(8, 2), { batch: 3 }))).message,
    /batch is 3/,
  )
  assert.match((await thrown(() => cka(gpu, array(3, 2), array(3, 2)))).message, /has 3 examples/)
  comparison.release()
})

test.after(() => {
  wide.close()
  gpu.close()
})

test.run()
