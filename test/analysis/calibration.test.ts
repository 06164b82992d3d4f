import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  calibrationOf,
  fitTemperature,
  scaleProbabilities,
  topCount,
} from '../../src/analysis/calibration.ts'
import { hashValues } from '../../src/selfTest/reference/compare.ts'

const log = (rows: number[][]) => Float64Array.from(rows.flat(), Math.log)

// Sums of a few float64 terms.
const TOLERANCE = 1e-12

function isClose(actual: number, expected: number, tolerance = TOLERANCE): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, expected ${expected}`)
}

test('NLL and ECE by hand: three bins, one of them with two examples', () => {
  const p = log([
    [0.9, 0.1],
    [0.9, 0.1],
    [0.6, 0.4],
    [0.5, 0.5],
  ])
  const { nll, ece } = calibrationOf(p, Uint32Array.of(0, 1, 0, 1), 2)
  isClose(nll, -(Math.log(0.9) + Math.log(0.1) + Math.log(0.6) + Math.log(0.5)) / 4)
  // Bin of 0.9: |1.8 - 1|; of 0.6: |0.6 - 1|; of 0.5, whose first class wins: |0.5 - 0|.
  isClose(ece, (0.8 + 0.4 + 0.5) / 4)
})

test('a confidence on a border belongs to the bin below, 1 to the last', () => {
  // 0.6 = 9/15 is the upper border of the ninth bin, in which 0.59 lies too.
  const p = log([
    [0.6, 0.4],
    [0.59, 0.41],
  ])
  isClose(calibrationOf(p, Uint32Array.of(0, 1), 2).ece, Math.abs(1.19 - 1) / 2)
  const certain = Float64Array.of(0, Number.NEGATIVE_INFINITY)
  assert.equal(calibrationOf(certain, Uint32Array.of(0), 2), { nll: 0, ece: 0 })
})

test('logits that were stretched by a factor are given it back as the temperature', () => {
  const [n, classes] = [4000, 5]
  const logits = Float64Array.from(hashValues(n * classes, 3), (v) => 6 * v)
  const uniform = hashValues(n, 4)
  const honest = scaleProbabilities(logits, classes, 1)
  // Labels drawn from the probabilities themselves: their best temperature is near 1.
  const labels = Uint32Array.from({ length: n }, (_, i) => {
    let left = uniform[i]! + 0.5
    for (let k = 0; k < classes - 1; k++) {
      left -= Math.exp(honest[i * classes + k]!)
      if (left < 0) return k
    }
    return classes - 1
  })
  const temperatureOf = (p: Float64Array) => {
    const found = fitTemperature(p, labels, classes)
    assert.ok('temperature' in found)
    return found.temperature
  }
  const base = temperatureOf(honest)
  assert.ok(Math.abs(base - 1) < 0.1, `${base}`)
  for (const factor of [0.1, 3, 20]) {
    const stretched = scaleProbabilities(honest, classes, 1 / factor)
    // Newton stops at a relative step of 1e-12.
    isClose(temperatureOf(stretched) / (base * factor), 1, 1e-9)
    const scaled = scaleProbabilities(stretched, classes, temperatureOf(stretched))
    isClose(
      calibrationOf(scaled, labels, classes).nll,
      calibrationOf(scaleProbabilities(honest, classes, base), labels, classes).nll,
      1e-9,
    )
  }
  const nll = (t: number) =>
    calibrationOf(scaleProbabilities(honest, classes, t), labels, classes).nll
  assert.ok(nll(base) < nll(base * 1.01) && nll(base) < nll(base / 1.01), 'a minimum')
})

test('no temperature where there is no mistake, or nothing but mistakes', () => {
  const p = log([
    [0.9, 0.1],
    [0.2, 0.8],
  ])
  const right = fitTemperature(p, Uint32Array.of(0, 1), 2)
  const wrong = fitTemperature(p, Uint32Array.of(1, 0), 2)
  assert.match('reason' in right ? right.reason : '', 'no mistakes')
  assert.match('reason' in wrong ? wrong.reason : '', 'worse than chance')
})

test('top-k counts equal scores in the order of the classes', () => {
  const scores = [3, 3, 1, 2, 2, 2]
  assert.is(topCount(scores, Uint32Array.of(1, 2), 3, 1), 0)
  assert.is(topCount(scores, Uint32Array.of(0, 0), 3, 1), 2)
  assert.is(topCount(scores, Uint32Array.of(1, 2), 3, 2), 1)
})

test.run()
