import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cka } from '../../src/analysis/cka.ts'
import { MinibatchCka } from '../../src/analysis/minibatchCka.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { normals, openDevices, withBindingLimit } from '../devices.ts'
import { numpyRandn } from '../reference/numpyRandom.ts'
import { ckaReference, rowsOf } from '../reference/similarity.ts'
import { thrown } from '../thrown.ts'

// f32 Gram entries against float64: measured below 1.4e-6, worst at 5 examples of 4,099 features.
const TOLERANCE = 1e-5

const { gpu, wide, both } = await openDevices()
const variants = [{}, { images: false }, { subgroups: false }, { vectorised: false }]

/** Features that share a part of what varies in `x`, about the same mean. */
function related(x: Float32Array, n: number, q: number, mean: number, seed: number): Float32Array {
  const p = x.length / n
  return normals(n * q, seed).map((value, i) => {
    const row = Math.floor(i / q)
    return mean + value + 0.7 * (x[row * p + ((i % q) % p)]! - mean)
  })
}

function near(got: number | null, expected: number, what: string, tolerance = TOLERANCE): void {
  assert.ok(
    got !== null && Math.abs(got - expected) < tolerance,
    `${what}: ${got}, expected ${expected}`,
  )
}

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

test('minibatches of unequal size weigh alike, for all pairs of layers, replayed or not', async () => {
  const sizes = [64, 64, 17]
  const widths = { a: [12, 5, 41, 64, 3, 128], b: [7, 32] }
  const batches = sizes.map((n, batch) => {
    const make = (width: number, i: number) =>
      normals(n * width, 100 * batch + i).map(
        (v, j) => v + (j % width) + (Math.floor(j / width) % 5),
      )
    return { n, a: widths.a.map(make), b: widths.b.map((w, i) => make(w, i + 50)) }
  })
  for (const on of both) {
    const names = { a: widths.a.map((_, i) => `a${i}`), b: widths.b.map((_, i) => `b${i}`) }
    const between = new MinibatchCka(on, names.a, names.b)
    const within = new MinibatchCka(on, names.a)
    await on.flush()
    for (const { n, a, b } of batches) {
      const arrays = {
        a: a.map((data) => on.upload('f32', [n, data.length / n], data)),
        b: b.map((data) => on.upload('f32', [n, 1, data.length / n], data)),
      }
      await on.flush()
      const { program } = await on.record(() => {
        between.add(arrays.a, arrays.b)
        within.add(arrays.a)
      })
      const before = on.memory()
      program.run()
      assert.equal(on.memory(), before, 'a replay creates nothing')
      program.dispose()
      for (const array of [...arrays.a, ...arrays.b]) array.release()
    }
    const result = await between.result()
    const own = await within.result()
    assert.is(result.n, 145)
    assert.is(result.batches, 3)
    const rows = (part: 'a' | 'b', i: number, j: number, other: 'a' | 'b') =>
      batches.map(
        (batch) => [rowsOf(batch[part][i]!, batch.n), rowsOf(batch[other][j]!, batch.n)] as const,
      )
    for (const i of widths.a.keys()) {
      for (const j of widths.b.keys())
        near(result.matrix[i]![j]!, ckaReference(rows('a', i, j, 'b')).cka, `a${i}/b${j}`)
      for (const j of widths.a.keys()) {
        near(own.matrix[i]![j]!, ckaReference(rows('a', i, j, 'a')).cka, `a${i}/a${j}`)
        assert.is(own.matrix[i]![j], own.matrix[j]![i])
      }
      assert.is(own.matrix[i]![i], 1)
    }
    between.reset()
    assert.match((await thrown(() => between.result())).message, /no minibatch was added/)
    between.release()
    within.release()
  }
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

test('work beyond the binding limit is cut up', async () => {
  const [n, p] = [17, 100]
  const small = withBindingLimit(gpu, 8192)
  const a = [normals(n * p, 1), normals(n * 8, 2)]
  const b = [related(a[0]!, n, 30, 0, 3), related(a[1]!, n, 7, 0, 4)]
  const comparison = new MinibatchCka(small, ['a0', 'a1'], ['b0', 'b1'])
  const upload = (data: Float32Array) => small.upload('f32', [n, data.length / n], data)
  const arrays = [...a, ...b].map(upload)
  comparison.add(arrays.slice(0, 2), arrays.slice(2))
  const { matrix } = await comparison.result()
  for (const i of [0, 1])
    for (const j of [0, 1])
      near(
        matrix[i]![j]!,
        ckaReference([[rowsOf(a[i]!, n), rowsOf(b[j]!, n)]]).cka,
        `a${i}/b${j} under a small limit`,
      )
  assert.throws(
    () =>
      comparison.add(
        [0, 1].map(() => small.empty('f32', [64, 8])),
        [0, 1].map(() => small.empty('f32', [64, 8])),
      ),
    /64 examples exceed what this device binds/,
  )
  comparison.release()
  for (const array of arrays) array.release()
})

test('features in pieces: one wide layer of 100,000 features, and many layers', async () => {
  const n = 24
  const widths = { a: [100_000, 7], b: [512, 30] }
  const data = {
    a: widths.a.map((p, i) => normals(n * p, i).map((value) => value + 50)),
    b: [] as Float32Array[],
  }
  data.b = widths.b.map((p, i) => related(data.a[i]!, n, p, 50, i))
  const pieces = (p: number) =>
    p === 100_000 ? [4096, 30_000, 65_904] : [Math.ceil(p / 3), p - Math.ceil(p / 3)]
  const reference = (estimator: 'unbiased' | 'biased') => {
    const rows = { a: data.a.map((x) => rowsOf(x, n)), b: data.b.map((x) => rowsOf(x, n)) }
    return rows.a.map((a) => rows.b.map((b) => ckaReference([[a, b]], estimator).cka))
  }
  const expected = { unbiased: reference('unbiased'), biased: reference('biased') }
  for (const on of both)
    for (const estimator of ['unbiased', 'biased'] as const) {
      const comparison = new MinibatchCka(on, ['a0', 'a1'], ['b0', 'b1'], {
        estimator,
        block: 2 ** 17,
      })
      const minibatch = comparison.minibatch(n)
      for (const network of ['b', 'a'] as const)
        for (const [layer, p] of widths[network].entries()) {
          let first = 0
          for (const width of pieces(p)) {
            const x = new Float32Array(n * width)
            for (let i = 0; i < n; i++)
              x.set(data[network][layer]!.subarray(i * p + first, i * p + first + width), i * width)
            const array = on.upload('f32', [n, width], x)
            minibatch.add(network, layer, array)
            array.release()
            first += width
          }
        }
      minibatch.end()
      const { matrix } = await comparison.result()
      for (const i of [0, 1])
        for (const j of [0, 1])
          near(matrix[i]![j]!, expected[estimator][i]![j]!, `a${i}/b${j}, ${estimator}`)
      assert.throws(() => minibatch.end(), /ended twice/)
      const second = comparison.minibatch(5)
      const piece = on.zeros('f32', [5, 3])
      second.add('a', 0, piece)
      second.add('a', 1, piece)
      assert.throws(() => second.add('a', 0, piece), /layer 0 came after those of another/)
      assert.throws(() => second.add('b', 2, piece), /network b has no layer 2/)
      assert.throws(
        () => second.add('b', 1, on.zeros('f32', [4, 3])),
        /b1 has 4 examples, the minibatch 5/,
      )
      assert.throws(() => second.end(), /features of 2 layers, expected 4/)
      second.release()
      piece.release()
      comparison.release()
    }
  assert.throws(() => new MinibatchCka(gpu, ['x']).minibatch(3), /3 examples, expected at least 4/)
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
