import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LayerStatistics } from '../../src/analysis/layerStatistics.ts'
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'

// f32 sums of unit vectors against a double sum over pairs in float64; measured below 1e-6.
const TOLERANCE = 1e-5

/** Eq. 11 as it stands: mean cosine distances over all pairs, every class weighted alike. */
function separation(x: Float32Array, labels: Uint32Array, p: number): number {
  const n = labels.length
  const unit = Float64Array.from(x)
  for (let i = 0; i < n; i++) {
    let squares = 0
    for (let f = 0; f < p; f++) squares += unit[i * p + f]! ** 2
    const norm = squares > 0 ? Math.sqrt(squares) : 1
    for (let f = 0; f < p; f++) unit[i * p + f]! /= norm
  }
  const counts = new Map<number, number>()
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
  const k = counts.size
  let within = 0
  let all = 0
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      let similarity = 0
      for (let f = 0; f < p; f++) similarity += unit[i * p + f]! * unit[j * p + f]!
      const weight = 1 / (counts.get(labels[i]!)! * counts.get(labels[j]!)!)
      all += ((1 - similarity) * weight) / k ** 2
      if (labels[i] === labels[j]) within += ((1 - similarity) * weight) / k
    }
  return 1 - within / all
}

function features(labels: Uint32Array, p: number, draw: number, mean: number): Float32Array {
  const stream = new RandomStream(2, streams.synthetic, draw)
  return Float32Array.from({ length: labels.length * p }, (_, i) => {
    const label = labels[Math.floor(i / p)]!
    return mean + stream.normal(i) + ((i % p) % 5 === label % 5 ? 1.5 : 0)
  })
}

async function measure(
  gpu: Gpu,
  classes: number,
  p: number,
  batches: readonly { x: Float32Array; labels: Uint32Array }[],
) {
  const statistics = new LayerStatistics(gpu, [{ layer: 'block', features: p }], classes)
  for (const { x, labels } of batches) {
    const array = gpu.upload('f32', [labels.length, p], x)
    const classOf = gpu.upload('u32', [labels.length], labels)
    statistics.add([array], classOf)
    array.release()
    classOf.release()
  }
  const [result] = await statistics.result()
  statistics.release()
  return result!
}

async function withGpu(body: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu()
  await body(gpu)
  gpu.close()
}

const balanced = (n: number, k: number) => Uint32Array.from({ length: n }, (_, i) => i % k)
const unbalanced = (n: number) => Uint32Array.from({ length: n }, (_, i) => (i % 7 < 5 ? 0 : i % 3))

test('R² equals the double sum over pairs in float64, for one batch and for several', () =>
  withGpu(async (gpu) => {
    for (const mean of [0, 50])
      for (const p of [1, 3, 41, 512, 4099])
        for (const labels of [balanced(30, 3), balanced(12, 12), unbalanced(40)]) {
          const x = features(labels, p, p, mean)
          const expected = separation(x, labels, p)
          const parts = [labels.length >> 1, labels.length]
          let from = 0
          const batches = parts.map((to) => {
            const part = { x: x.slice(from * p, to * p), labels: labels.slice(from, to) }
            from = to
            return part
          })
          for (const given of [[{ x, labels }], batches]) {
            const { r2, undefined: why } = await measure(gpu, 12, p, given)
            const what = `mean ${mean}, p ${p}, n ${labels.length}, ${given.length} batches`
            // Positive numbers in one dimension all point the same way.
            if (p === 1 && mean === 50) {
              assert.is(r2, null, what)
              assert.match(why!, 'same direction')
              continue
            }
            const error = Math.abs(r2! - expected)
            // At mean 50 all cosines are within 1e-3 of 1, and f32 rounding of 6e-8 of them is
            // 6e-5 of the distances.
            const bound = mean === 50 ? 2e-3 : TOLERANCE
            assert.ok(error < bound, `${what}: ${error}`)
          }
        }
  }))

test('a row of zeros is unlike everything; duplicated rows count as they come', () =>
  withGpu(async (gpu) => {
    const labels = balanced(16, 4)
    const x = features(labels, 9, 3, 0)
    x.fill(0, 9 * 2, 9 * 3)
    x.copyWithin(9 * 5, 9 * 4, 9 * 5)
    // By the definition's own convention: similarity 0 to everything, itself included.
    const expected = separation(x, labels, 9)
    const { r2 } = await measure(gpu, 4, 9, [{ x, labels }])
    assert.ok(Math.abs(r2! - expected) < TOLERANCE, `${r2} for ${expected}`)
  }))

test('undefined with its reason: one class, constant features', () =>
  withGpu(async (gpu) => {
    const one = new Uint32Array(8).fill(2)
    const single = await measure(gpu, 4, 5, [{ x: features(one, 5, 4, 0), labels: one }])
    assert.is(single.r2, null)
    assert.match(single.undefined!, 'only 1 class occurs')
    const labels = balanced(8, 4)
    const constant = await measure(gpu, 4, 5, [{ x: new Float32Array(40).fill(2), labels }])
    assert.is(constant.r2, null)
    assert.match(constant.undefined!, 'same direction')
  }))

test('the share of non-zero values is exact, tails and negative zeros included', () =>
  withGpu(async (gpu) => {
    for (const p of [1, 3, 7, 1027]) {
      const labels = balanced(9, 3)
      const x = features(labels, p, 5, 0).map((v, i) => (i % 3 === 0 ? -0 : v))
      const expected = x.reduce((sum, v) => sum + (v === 0 ? 0 : 1), 0) / x.length
      const { nonZero } = await measure(gpu, 3, p, [
        { x, labels },
        { x, labels },
      ])
      assert.is(nonZero, expected, `p ${p}`)
    }
  }))

test('shapes that do not fit are refused, with the layer named', () =>
  withGpu(async (gpu) => {
    const statistics = new LayerStatistics(gpu, [{ layer: 'layer1.0', features: 5 }], 3)
    const labels = gpu.zeros('u32', [4])
    assert.throws(
      () => statistics.add([gpu.zeros('f32', [4, 6])], labels),
      /layer1.0: features are \[4,6\], expected 4 rows of 5/,
    )
    assert.throws(() => statistics.add([], labels), /0 layers came, expected 1/)
    assert.throws(() => new LayerStatistics(gpu, [], 0), /classes is 0/)
  }))

test.run()
