import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ClassSeparation } from '../../src/analysis/classSeparation.ts'
import { LayerStatistics } from '../../src/analysis/layerStatistics.ts'
import { Sparsity } from '../../src/analysis/sparsity.ts'
import { normals, openDevices } from '../devices.ts'
import { thrown } from '../thrown.ts'

const { gpu, wide, both } = await openDevices()

/** Activations after a ReLU, with -0, a subnormal and NaN among them, and how many are not 0. */
function activations(n: number, p: number, seed: number) {
  const x = normals(n * p, seed).map((value) => Math.max(0, value))
  x[0] = -0
  x[1] = 1e-42
  if (n * p > 2) x[2] = Number.NaN
  return { x, nonZero: x.reduce((count, value) => count + (value === 0 ? 0 : 1), 0) }
}

test('sparsity counts every value exactly, in any shape and variant', async () => {
  for (const on of both)
    for (const [n, p] of [
      [1, 2],
      [3, 5],
      [17, 512],
      [64, 4099],
      [2050, 12],
    ] as const)
      for (const variant of [{}, { vectorised: false }]) {
        const a = activations(n, p, n)
        const b = activations(n, 8, p)
        const layers = [
          { layer: 'a', features: p },
          { layer: 'b', features: 8 },
        ]
        const sparsity = new Sparsity(on, layers, variant)
        const arrays = [on.upload('f32', [n, p], a.x), on.upload('f32', [n, 2, 4], b.x)]
        sparsity.add(arrays)
        sparsity.add(arrays)
        const result = await sparsity.result()
        assert.equal(result, [
          { layer: 'a', features: p, nonZero: a.nonZero / (n * p), n: 2 * n },
          { layer: 'b', features: 8, nonZero: b.nonZero / (n * 8), n: 2 * n },
        ])
        sparsity.release()
        for (const array of arrays) array.release()
      }
})

test('counts stay exact beyond 32 bits', async () => {
  const most = 2 ** 32 - 1
  const sparsity = new Sparsity(gpu, [{ layer: 'x', features: most }])
  const nonZero = gpu.upload('u32', [1, 700], new Uint32Array(700).fill(most))
  for (let i = 0; i < 3; i++) sparsity.addRows({ nonZero })
  assert.equal(await sparsity.result(), [{ layer: 'x', features: most, nonZero: 1, n: 2100 }])
  nonZero.release()
  sparsity.release()
})

test('layer statistics are those of class separation and of sparsity, replayed', async () => {
  const [n, classes] = [1100, 6]
  const widths = [48, 7]
  const layers = widths.map((features, i) => ({ layer: `l${i}`, features }))
  const x = widths.map((p, i) => normals(n * p, i).map((value) => Math.max(0, value)))
  const labels = Uint32Array.from({ length: n }, (_, i) => (i * i) % 6)
  for (const on of both) {
    const arrays = x.map((data, i) => on.upload('f32', [n, widths[i]!], data))
    const onDevice = on.upload('u32', [n], labels)
    const statistics = new LayerStatistics(on, layers, classes)
    const separation = new ClassSeparation(on, layers, classes)
    const sparsity = new Sparsity(on, layers)
    await on.flush()
    const { program } = await on.record(() => statistics.add(arrays, onDevice))
    program.run()
    program.run()
    for (let i = 0; i < 2; i++) {
      separation.add(arrays, labels)
      sparsity.add(arrays)
    }
    const expected = await separation.result()
    const shares = await sparsity.result()
    assert.equal(
      await statistics.result(),
      expected.map((result, i) => ({ ...result, nonZero: shares[i]!.nonZero })),
    )
    statistics.reset()
    assert.match((await thrown(() => statistics.result())).message, /no batch was added/)
    for (const array of [...arrays, onDevice]) array.release()
    for (const analysis of [statistics, separation, sparsity]) analysis.release()
  }
})

test('bad input is named', async () => {
  assert.throws(() => new Sparsity(gpu, []), /sparsity: no layer was given/)
  assert.throws(
    () => new Sparsity(gpu, [{ layer: 'stem', features: 0 }]),
    /stem: features is 0, expected an integer of at least 1/,
  )
  const sparsity = new Sparsity(gpu, [{ layer: 'stem', features: 3 }])
  assert.throws(() => sparsity.add([gpu.empty('f32', [2, 4])]), /stem: an example has 4 features/)
  assert.throws(() => sparsity.add([gpu.empty('f32', [0, 3])]), /stem: features are \[0,3\]/)
  assert.match((await thrown(() => sparsity.result())).message, /no batch was added/)
  const statistics = new LayerStatistics(gpu, [{ layer: 'stem', features: 3 }], 2)
  assert.throws(
    () => statistics.add([gpu.empty('f32', [2, 3])], new Uint32Array([0, 2])),
    /label 1 is 2, expected an integer below 2/,
  )
})

test.after(() => {
  wide.close()
  gpu.close()
})

test.run()
