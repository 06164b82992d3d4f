import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MinibatchCka } from '../../src/analysis/minibatchCka.ts'
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'
import { gram, unbiasedHsic } from '../reference/hsic.ts'

// f32 Gram matrices against float64; measured below 2e-7 at mean 0 and 3e-6 at mean 50.
const TOLERANCE = 1e-5

/** Gaussian features [n, p] around a mean, the same for every run. */
function gaussian(n: number, p: number, draw: number, mean = 0): Float32Array {
  const stream = new RandomStream(1, streams.synthetic, draw)
  return Float32Array.from({ length: n * p }, (_, i) => mean + stream.normal(i))
}

interface Layer {
  readonly p: number
  readonly batches: readonly Float32Array[]
}

async function ckaOf(gpu: Gpu, sizes: readonly number[], a: readonly Layer[], b: readonly Layer[]) {
  const names = (layers: readonly Layer[], prefix: string) => layers.map((_, i) => `${prefix}${i}`)
  const cka = new MinibatchCka(gpu, names(a, 'a'), names(b, 'b'))
  for (const [i, n] of sizes.entries()) {
    const upload = (layers: readonly Layer[]) =>
      layers.map(({ p, batches }) => gpu.upload('f32', [n, p], batches[i]!))
    const [x, y] = [upload(a), upload(b)]
    cka.add(x, y)
    for (const array of [...x, ...y]) array.release()
  }
  const result = await cka.result()
  cka.release()
  return result
}

/** The same by definition, in double precision: HSIC_1 of each minibatch, weighted by its size. */
function expectedCka(sizes: readonly number[], a: Layer, b: Layer): number {
  const mean = (left: Layer, right: Layer) =>
    sizes.reduce((sum, n, i) => {
      const k = gram(left.batches[i]!, n, left.p)
      const l = gram(right.batches[i]!, n, right.p)
      return sum + n * unbiasedHsic(k, l, n)
    }, 0)
  return mean(a, b) / Math.sqrt(mean(a, a) * mean(b, b))
}

/** Layers of related features: each mixes shared Gaussians with its own. */
function layers(sizes: readonly number[], widths: readonly number[], seed: number, mean: number) {
  return widths.map(
    (p, layer): Layer => ({
      p,
      batches: sizes.map((n, batch) => {
        const shared = gaussian(n, 8, 1000 + batch)
        const own = gaussian(n, p, seed + 100 * layer + batch, mean)
        return own.map((v, i) => v + 2 * shared[Math.floor(i / p) * 8 + ((i % p) % 8)]!)
      }),
    }),
  )
}

async function withGpu(body: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu()
  await body(gpu)
  gpu.close()
}

for (const mean of [0, 50])
  test(`agrees with the definition in float64, mean ${mean}, uneven batches`, () =>
    withGpu(async (gpu) => {
      for (const sizes of [[4], [5, 17], [64, 64, 7]]) {
        const a = layers(sizes, [1, 3, 41, 512], 1, mean)
        const b = layers(sizes, [5, 130, 1031], 50, mean)
        const { matrix, n, batches } = await ckaOf(gpu, sizes, a, b)
        assert.is(
          n,
          sizes.reduce((x, y) => x + y),
        )
        assert.is(batches, sizes.length)
        for (const [i, layerA] of a.entries())
          for (const [j, layerB] of b.entries()) {
            const expected = expectedCka(sizes, layerA, layerB)
            const actual = matrix[i]![j]
            // A self term that is not positive leaves it undefined on both sides.
            if (Number.isNaN(expected)) assert.is(actual, null)
            else {
              const error = Math.abs(actual! - expected)
              assert.ok(error < TOLERANCE, `n ${sizes}, p ${layerA.p}, ${layerB.p}: ${error}`)
            }
          }
      }
    }))

test('CKA of features with themselves is 1; rotation and scale change nothing', () =>
  withGpu(async (gpu) => {
    const sizes = [32, 32, 20]
    const [x] = layers(sizes, [24], 7, 0) as [Layer]
    // A product of plane rotations is a rotation of the features.
    const turned: Layer = {
      p: 24,
      batches: x.batches.map((batch) => {
        const y = Float64Array.from(batch)
        for (let row = 0; row < y.length; row += 24)
          for (let f = 0; f < 23; f++) {
            const [c, s] = [Math.cos(f + 1), Math.sin(f + 1)]
            const [u, v] = [y[row + f]!, y[row + f + 1]!]
            y[row + f] = c * u - s * v
            y[row + f + 1] = s * u + c * v
          }
        return Float32Array.from(y, (v) => 37 * v)
      }),
    }
    const { matrix } = await ckaOf(gpu, sizes, [x, turned], [x])
    assert.ok(Math.abs(matrix[0]![0]! - 1) < 1e-6, `itself: ${matrix[0]![0]}`)
    assert.ok(Math.abs(matrix[1]![0]! - 1) < 1e-5, `rotated: ${matrix[1]![0]}`)
  }))

test('independent Gaussian features give about 0, where the biased estimator would give almost 1', () =>
  withGpu(async (gpu) => {
    const a = { p: 2048, batches: [gaussian(64, 2048, 1)] }
    const b = { p: 2048, batches: [gaussian(64, 2048, 2)] }
    const { matrix } = await ckaOf(gpu, [64], [a], [b])
    // The standard deviation over draws is about 1/64.
    assert.ok(Math.abs(matrix[0]![0]!) < 0.06, `${matrix[0]![0]}`)
  }))

test('constant features are undefined, with the layer named', () =>
  withGpu(async (gpu) => {
    const constant = { p: 6, batches: [new Float32Array(60).fill(3)] }
    const [x] = layers([10], [5], 3, 0) as [Layer]
    const { matrix, undefined: reasons } = await ckaOf(gpu, [10], [x, constant], [x])
    assert.ok(matrix[0]![0] !== null)
    assert.is(matrix[1]![0], null)
    assert.match(reasons['a1/b0']!, /a1 do not vary/)
  }))

test('the same bits every time, in a replayed program too', () =>
  withGpu(async (gpu) => {
    const sizes = [17]
    const a = layers(sizes, [33, 64], 1, 0)
    const b = layers(sizes, [7, 128], 50, 0)
    const first = await ckaOf(gpu, sizes, a, b)
    assert.equal(await ckaOf(gpu, sizes, a, b), first)
    const cka = new MinibatchCka(gpu, ['a0', 'a1'], ['b0', 'b1'])
    const upload = ({ p, batches }: Layer) => gpu.upload('f32', [17, p], batches[0]!)
    const [x, y] = [a.map(upload), b.map(upload)]
    const { program } = await gpu.record(() => cka.add(x, y))
    program.run()
    assert.equal(await cka.result(), first)
  }))

test('what does not fit is refused, with the layer named', () =>
  withGpu(async (gpu) => {
    const cka = new MinibatchCka(gpu, ['layer1.0'], ['avgpool'])
    const features = (n: number) => [gpu.zeros('f32', [n, 5])]
    assert.throws(() => cka.add(features(3), features(3)), /has 3 examples.* at least 4/)
    assert.throws(() => cka.add(features(8), features(9)), /avgpool has 9 examples, layer1.0 has 8/)
    assert.throws(() => cka.add([], features(9)), /0 and 1 layers came, expected 1 and 1/)
  }))

test.run()
