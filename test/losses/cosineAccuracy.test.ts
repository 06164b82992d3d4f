import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { instantiate } from '../../src/losses/objective.ts'
import { objectiveNamed } from '../../src/losses/registry.ts'
import { relativeError } from '../../src/selfTest/reference/compare.ts'
import { rowLosses } from './reference.ts'
import { drawLabels, drawLogits, mixed, oneHot } from './rows.ts'

// Of the mean loss, and of each gradient relative to what it is before its part along the vector is taken
// out: nothing may be left but rounding.
const LOSS = 1e-6
const GRADIENT = 1e-5
// A single example may be decided. Its loss is then an exponential of logits that were rounded about eight
// times on their way: two inverse norms to two units each, both products with them, the sum over M, the bias.
const ROUNDING = 8 * 2 ** -24

const M = 5
const scales = [1e-3, 1, 30, 1e4]
const sizes = [1, 3, 64, 257].flatMap((n) => [2, 10, 1000, 1001, 21841].map((k) => [n, k] as const))

/** Rows [.., M] divided by their norms, and the norms. */
function normalised(rows: Float32Array): { unit: Float64Array; norms: Float64Array } {
  const norms = Float64Array.from({ length: rows.length / M }, (_, i) =>
    Math.hypot(...rows.subarray(i * M, (i + 1) * M)),
  )
  return { unit: Float64Array.from(rows, (v, i) => v / norms[Math.floor(i / M)]!), norms }
}

/** The loss of a batch and its derivatives by unit features and unit weights, in float64. */
function reference(
  x: Float64Array,
  w: Float64Array,
  bias: Float32Array,
  t: Float32Array,
  tau: number,
) {
  const [n, k] = [x.length / M, w.length / M]
  const [dx, dw, dbias] = [new Float64Array(n * M), new Float64Array(k * M), new Float64Array(k)]
  const z = new Float64Array(k)
  let [loss, range] = [0, 0]
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < k; c++) {
      z[c] = bias[c]!
      for (let j = 0; j < M; j++) z[c]! += (x[i * M + j]! * w[c * M + j]!) / tau
    }
    const row = rowLosses.softmaxCrossEntropy!(
      z,
      Float64Array.from(t.subarray(i * k, (i + 1) * k)),
      {},
    )
    loss += row.loss / n
    range = Math.max(range, row.range)
    for (let c = 0; c < k; c++) {
      const g = row.gradient[c]! / n
      dbias[c]! += g
      for (let j = 0; j < M; j++) {
        dx[i * M + j]! += (g * w[c * M + j]!) / tau
        dw[c * M + j]! += (g * x[i * M + j]!) / tau
      }
    }
  }
  return { loss, range, dx, dw, dbias }
}

/** How far `actual` is from the derivative by vectors whose derivative by unit vectors is `du`, relative to du / norm. */
function errorThroughNorm(
  actual: (vector: number, j: number) => number,
  du: Float64Array,
  { unit, norms }: ReturnType<typeof normalised>,
): number {
  let [off, size] = [0, 0]
  norms.forEach((norm, v) => {
    let along = 0
    for (let j = v * M; j < (v + 1) * M; j++) along += du[j]! * unit[j]!
    for (let j = 0; j < M; j++) {
      const at = v * M + j
      off += (actual(v, j) - (du[at]! - along * unit[at]!) / norm) ** 2
      size += (du[at]! / norm) ** 2
    }
  })
  return Math.sqrt(off / size)
}

test('cosine softmax agrees with float64 at every number of examples and classes', async () => {
  const gpu = await openGpu()
  const tau = 0.05
  for (const [turn, [n, k]] of sizes.entries()) {
    const scale = scales[turn % scales.length]!
    const features = drawLogits(n, M, scale, 3 + turn)
    const weights = drawLogits(k, M, 1, 70 + turn)
    const bias = drawLogits(1, k, 1, 140 + turn)
    const labels = drawLabels(n, k)
    const soft = n === 3
    const targets = soft ? mixed(n, k) : oneHot(labels, k)
    const x = new Tensor(gpu.upload('f32', [n, M], features), true)
    // The layer's weight is [M, K].
    const columns = weights.map((_, i) => weights[(i % k) * M + Math.floor(i / k)]!)
    const layer = {
      weight: new Tensor(gpu.upload('f32', [M, k], columns), true),
      bias: new Tensor(gpu.upload('f32', [k], bias), true),
    }
    const target = soft
      ? { targets: gpu.upload('f32', [n, k], targets) }
      : { labels: gpu.upload('u32', [n], labels) }
    const tape = new Tape(gpu)
    const objective = instantiate(objectiveNamed('cosine-softmax'), k, { tau })
    const loss = tape.keep(objective.lossOfFeatures(tape, { features: x, layer, target }))
    tape.backward(loss)

    const what = `N ${n}, K ${k}, features at ${scale}`
    const [unitX, unitW] = [normalised(features), normalised(weights)]
    const expected = reference(unitX.unit, unitW.unit, bias, targets, tau)
    const [actual] = await gpu.read(loss.value)
    assert.ok(
      Math.abs(actual! / expected.loss - 1) < LOSS + (n === 1 ? ROUNDING * expected.range : 0),
      `${what}: loss ${actual}, expected ${expected.loss}`,
    )
    const [dx, dw, dbias] = [
      await gpu.read(x.gradient!),
      await gpu.read(layer.weight.gradient!),
      await gpu.read(layer.bias.gradient!),
    ]
    const errors = {
      features: errorThroughNorm((i, j) => dx[i * M + j]!, expected.dx, unitX),
      weight: errorThroughNorm((c, j) => dw[j * k + c]!, expected.dw, unitW),
      bias: relativeError(dbias, expected.dbias),
    }
    for (const [name, error] of Object.entries(errors))
      assert.ok(error < GRADIENT, `${what}: relative error of d${name} is ${error}`)
    for (const { value, gradient } of [x, layer.weight, layer.bias]) {
      value.release()
      gradient!.release()
    }
    for (const array of [loss.value, (target.labels ?? target.targets)!]) array.release()
  }
  gpu.close()
})

test.run()
