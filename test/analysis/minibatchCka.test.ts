import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MinibatchCka } from '../../src/analysis/minibatchCka.ts'
import { normals, openDevices, withBindingLimit } from '../devices.ts'
import { ckaReference, rowsOf } from '../reference/similarity.ts'
import { thrown } from '../thrown.ts'
import { near, related } from './ckaCases.ts'

const { gpu, wide, both } = await openDevices()

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

test.after(() => {
  wide.close()
  gpu.close()
})

test.run()
