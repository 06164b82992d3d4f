import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { angularHardness } from '../../src/analysis/angularHardness.ts'
import { density } from '../../src/analysis/density.ts'
import { pairDistances } from '../../src/analysis/pairDistances.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import { normals, openDevices } from '../devices.ts'
import { thrown } from '../thrown.ts'

const fixtures = path.join(packageRoot(), 'test/fixtures/collapse/collapse.safetensors')
const { tensors } = await readSafetensors(fixtures)
const { gpu, wide, both } = await openDevices()

function fixture(name: string) {
  const get = (key: string) => tensors.get(`${name}/${key}`)!
  const values = (key: string) => get(key).data as Float32Array
  return {
    x: gpu.upload('f32', get('features').shape, values('features')),
    weights: gpu.upload('f32', get('weights').shape, values('weights')),
    labels: Uint32Array.from(values('labels')),
    classes: get('weights').shape[0]!,
    values,
  }
}

function estimate(values: ArrayLike<number>, at: number, h: number): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += Math.exp(-0.5 * ((at - values[i]!) / h) ** 2)
  return sum / (values.length * h * Math.sqrt(2 * Math.PI))
}

test('angular visual hardness against NumPy', async () => {
  for (const name of ['fewClasses', 'manyClasses', 'rankThree', 'uneven']) {
    const { x, weights, labels, values } = fixture(name)
    for (const on of both) {
      const hardness = angularHardness(on, x, weights, labels)
      const got = await on.read(hardness)
      // Cosines in f32 and a polynomial of error 2e-8, over the sum of angles: measured below 2e-7.
      for (const [i, expected] of values('hardness').entries())
        assert.ok(Math.abs(got[i]! - expected) < 1e-6, `${name} ${i}: ${got[i]}, ${expected}`)
      hardness.release()
    }
  }
})

test('an example on its weight is at angle 0, a row of zeros at a right angle to all', async () => {
  const weights = gpu.upload('f32', [2, 2], new Float32Array([3, 0, -1, 0]))
  const x = gpu.upload('f32', [4, 2], new Float32Array([5, 0, -5, 0, 0, 0, Number.NaN, 1]))
  const hardness = await gpu.read(angularHardness(gpu, x, weights, new Uint32Array(4)))
  assert.equal([...hardness], [0, 1, 0.5, -1])
  const narrow = gpu.zeros('f32', [2, 3])
  assert.throws(() => angularHardness(gpu, x, narrow, new Uint32Array(4)), /weights are \[2,3\]/)
})

test('a density is the Gaussian estimate of its values and integrates to 1', async () => {
  const data = normals(700, 1).map((value) => 1e-3 + 2e-5 * value)
  const grid = { low: 0.8e-3, high: 1.2e-3, points: 301, bandwidth: 5e-6 }
  for (const on of both) {
    const result = await density(on, { values: on.upload('f32', [700], data) }, grid)
    const peak = Math.max(...result.density)
    // Differences of f32 numbers near 1e-3 over 5e-6: 1e-10 / 5e-6.
    for (const [i, at] of result.at.entries())
      assert.ok(Math.abs(result.density[i]! - estimate(data, at, 5e-6)) < 1e-4 * peak)
    const step = result.at[1]! - result.at[0]!
    assert.ok(Math.abs(result.density.reduce((a, b) => a + b, 0) * step - 1) < 1e-3)
  }
  const bad = density(gpu, { values: gpu.zeros('f32', [4]) }, { ...grid, bandwidth: 0 })
  assert.match((await thrown(() => bad)).message, /expected at least 2, rising, above 0/)
})

test('distances within and between classes are those of all pairs', async () => {
  for (const name of ['fewClasses', 'manyClasses', 'rankThree']) {
    const { x, labels, classes, values } = fixture(name)
    for (const on of both) {
      const bandwidth = 0.03
      const result = await pairDistances(on, x, labels, classes, { bandwidth, points: 101 })
      for (const [key, mean, got, pairs] of [
        ['withinCosine', result.meanWithin, result.within, result.pairs.within],
        ['betweenCosine', result.meanBetween, result.between, result.pairs.between],
      ] as const) {
        const expected = values(key)
        assert.is(pairs, expected.length, 'every pair once, none with itself')
        const exact = expected.reduce((a, b) => a + b, 0) / expected.length
        assert.ok(Math.abs(mean! - exact) < 5e-4, `${name} ${key}: ${mean}, expected ${exact}`)
        // A distance moves by half a bin, 5e-4, at most; the kernel's slope is below 1 / (4 h^2).
        for (const [i, at] of result.at.entries())
          assert.ok(
            Math.abs(got![i]! - estimate(expected, at, bandwidth)) < 5e-4 / bandwidth ** 2 / 4,
            `${name} ${key} at ${at}`,
          )
      }
    }
  }
})

test('many blocks of examples, one class, and features that are not finite', async () => {
  const n = 1100
  const data = normals(n * 4, 1)
  const x = gpu.upload('f32', [n, 4], data)
  const labels = Uint32Array.from({ length: n }, (_, i) => i % 2)
  const two = await pairDistances(gpu, x, labels, 2)
  assert.is(two.pairs.within, (n * (n / 2 - 1)) / 2)
  assert.is(two.pairs.between, (n / 2) ** 2)
  assert.equal(await pairDistances(gpu, x, labels, 2), two)
  const one = await pairDistances(gpu, x, new Uint32Array(n), 1)
  assert.is(one.between, null)
  assert.is(one.meanBetween, null)
  assert.is(one.pairs.within, (n * (n - 1)) / 2)
  data[41] = Number.NaN
  const bad = gpu.upload('f32', [n, 4], data)
  assert.match((await thrown(() => pairDistances(gpu, bad, labels, 2))).message, /example 10 holds/)
})

test.after(() => {
  wide.close()
  gpu.close()
})

test.run()
