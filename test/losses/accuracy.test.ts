import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { registeredOps } from '../../src/autograd/op.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import '../../src/losses/registry.ts'
import { type RowParameters, rowLosses } from './reference.ts'
import { adversarialRows, drawLabels, drawLogits, mixed, oneHot } from './rows.ts'

// Of the mean loss and of the whole gradient.
const LOSS = 1e-6
const GRADIENT = 1e-5
// A confident example's loss is an exponential, say 1e-20, and the rounding of an exponent to f32 is
// relative in it: once (the difference of two logits), with tau up to six times (inverse square root
// to two units, tau, product, difference, reduction).
const exponentRounding = (tau?: number) => (tau === undefined ? 1 : 6) * 2 ** -24

interface Variant {
  readonly op: string
  readonly parameters: RowParameters
  /** Checked at every number of examples and classes, others at a few: each kernel is slow to compile. */
  readonly everySize?: boolean
  /** Checked on 64 lanes too: between them these have every sum that lanes share. */
  readonly on64Lanes?: boolean
}

const variants: readonly Variant[] = [
  { op: 'softmaxCrossEntropy', parameters: {}, everySize: true },
  { op: 'softmaxCrossEntropy', parameters: { smoothing: 0.1 }, everySize: true },
  { op: 'softmaxCrossEntropy', parameters: { penalty: 6e-4 }, everySize: true },
  { op: 'softmaxCrossEntropy', parameters: { tau: 0.04 }, everySize: true },
  { op: 'softmaxCrossEntropy', parameters: { tau: 0.04, smoothing: 0.1 } },
  { op: 'softmaxCrossEntropy', parameters: { smoothing: 0.1, penalty: 6e-4 } },
  {
    op: 'softmaxCrossEntropy',
    parameters: { tau: 0.04, smoothing: 0.1, penalty: 1e-3 },
    on64Lanes: true,
  },
  { op: 'sigmoidCrossEntropy', parameters: {}, everySize: true },
  { op: 'sigmoidCrossEntropy', parameters: { tau: 0.04 } },
  { op: 'sigmoidCrossEntropy', parameters: { tau: 0.04, penalty: 6e-4 }, on64Lanes: true },
  { op: 'sigmoidCrossEntropy', parameters: { shift: -6.9, penalty: 6e-4 } },
  {
    op: 'squaredError',
    parameters: { kappa: 9, m: 60, scale: 10 },
    everySize: true,
    on64Lanes: true,
  },
]

interface Case {
  readonly n: number
  readonly k: number
  readonly logits: Float32Array
  readonly labels: Uint32Array
  readonly soft: boolean
}

/** Rows of a large batch that differ; a prime, so that no mix-up of rows by a power of two goes unseen. */
const DISTINCT = 37

async function check(
  gpu: Gpu,
  { op, parameters }: Variant,
  { n, k, logits, labels, soft }: Case,
  what: string,
): Promise<void> {
  const distinct = Math.min(n, logits.length / k)
  const targets = soft ? mixed(distinct, k) : oneHot(labels, k)
  const perExample = gpu.empty('f32', [n])
  const status = gpu.zeros('u32', [1])
  const target = soft
    ? { targets: gpu.upload('f32', [n, k], repeated(targets, n * k)) }
    : { labels: gpu.upload('u32', [n], repeated(labels, n)) }
  const z = new Tensor(gpu.upload('f32', [n, k], repeated(logits, n * k)), true)
  const tape = new Tape(gpu)
  const loss = registeredOps().get(op)!(
    tape,
    { logits: z },
    { ...target, ...parameters, perExample, status },
  )
  tape.keep(loss)
  tape.backward(loss)
  const [losses, [mean], gradient, [flags]] = [
    await gpu.read(perExample),
    await gpu.read(loss.value),
    await gpu.read(z.gradient!),
    await gpu.read(status),
  ]
  const expectedRows = Array.from({ length: distinct }, (_, i) =>
    rowLosses[op]!(
      Float64Array.from(logits.subarray(i * k, (i + 1) * k)),
      Float64Array.from(targets.subarray(i * k, (i + 1) * k)),
      parameters,
    ),
  )
  const overflows = expectedRows.some(({ loss }) => loss > 3e38)
  assert.is(flags, overflows ? 4 : 0, `${what}: status`)
  const rounding = exponentRounding(parameters.tau)
  let sum = 0
  let tolerated = 0
  let squares = 0
  let squaredError = 0
  for (let i = 0; i < n; i++) {
    const expected = expectedRows[i % distinct]!
    if (expected.loss > 3e38) continue
    const relative = LOSS + rounding * expected.range
    sum += expected.loss
    tolerated += relative * expected.loss
    const error = Math.abs(losses[i]! - expected.loss) / (expected.loss || 1)
    // Below f32's normal range nothing is relative.
    assert.ok(
      error < relative || expected.loss < 1e-35,
      `${what}, row ${i}: loss ${losses[i]}, expected ${expected.loss}`,
    )
    let difference = 0
    for (let c = 0; c < k; c++) {
      const off = gradient[i * k + c]! * n - expected.gradient[c]!
      squaredError += off * off
      squares += expected.gradient[c]! ** 2
      // Not Math.max, which a NaN would have to pass through.
      if (!(Math.abs(off) <= difference)) difference = Math.abs(off)
    }
    assert.ok(
      difference <= GRADIENT * expected.size + 1e-30,
      `${what}, row ${i}: gradient off by ${difference} of ${expected.size}`,
    )
  }
  if (!overflows) {
    assert.ok(
      Math.abs(mean! - sum / n) <= tolerated / n + 1e-35,
      `${what}: mean ${mean}, expected ${sum / n}`,
    )
    // A single logit has a gradient of 0 under softmax or tau, and so has a confident row nearly: what
    // is all rounding was measured by its terms above.
    const relative = Math.sqrt(squaredError / squares)
    assert.ok(
      relative < GRADIENT || n < 64 || k === 1,
      `${what}: gradient's relative error ${relative}`,
    )
  }
  for (const array of [perExample, status, loss.value, z.value, z.gradient!]) array.release()
  ;(target.labels ?? target.targets)!.release()
}

/** Values again and again up to `length`. */
function repeated<T extends Float32Array | Uint32Array>(values: T, length: number): T {
  const to = new (values.constructor as new (length: number) => T)(length)
  for (let i = 0; i < length; i++) to[i] = values[i % values.length]!
  return to
}

const device = await openGpu()
/** A profile that shares a row among 64 lanes as a GPU does. */
const wide = new Gpu(device.device, {
  ...device.profile,
  lanes: 64,
  software: false,
  subgroups8: false,
  targetWorkgroups: 64,
})

const scales = [1e-3, 1, 30, 1e4]
/** Logits of a batch that is checked at every scale; a larger one is at one scale, each in its turn. */
const SMALL = 1100
/** N and K; targets are soft where N is 3 and K is not 1. */
const everySize = [1, 3, 64, 257].flatMap((n) =>
  [1, 2, 10, 1000, 1001, 21841].map((k) => [n, k] as const),
)
const someSizes = [
  [1, 1],
  [3, 10],
  [64, 2],
  [64, 1000],
  [257, 1001],
  [1, 21841],
] as const
/** Four lanes a row and 64; barriers over that many are slow on a software driver. */
const on64Lanes = [
  [3, 10],
  [1, 1001],
] as const

const named = ({ op, parameters }: Variant) => `${op} ${JSON.stringify(parameters)}`

let turn = 0
for (const variant of variants)
  test(`${named(variant)} agrees with float64`, async () => {
    const checkSize = async (gpu: Gpu, n: number, k: number) => {
      for (const scale of n * k <= SMALL ? scales : [scales[turn++ % scales.length]!]) {
        const distinct = Math.min(n, DISTINCT)
        const logits = drawLogits(distinct, k, scale, n + k)
        const labels = drawLabels(distinct, k)
        const soft = n === 3 && k > 1
        const what = `N ${n}, K ${k}, scale ${scale}, lanes ${gpu.profile.lanes}`
        await check(gpu, variant, { n, k, logits, labels, soft }, what)
      }
    }
    for (const [n, k] of variant.everySize ? everySize : someSizes) await checkSize(device, n, k)
    for (const [n, k] of variant.on64Lanes ? on64Lanes : []) await checkSize(wide, n, k)
  })

for (const variant of variants)
  test(`${named(variant)} is finite and right on adversarial rows`, async () => {
    const sizes = [1, 2, 10, 1000, 1001].map((k) => [device, k] as const)
    for (const [gpu, k] of variant.on64Lanes ? [...sizes, [wide, 10] as const] : sizes) {
      const rows = adversarialRows(k)
      // The square of 1e30 is not an f32: where a loss has one, the huge logit is 1e15.
      const { penalty, tau } = variant.parameters
      if (penalty || tau || variant.op === 'squaredError') rows[k] = 1e15
      for (const label of [0, k - 1])
        await check(
          gpu,
          variant,
          {
            n: 18,
            k,
            logits: rows,
            labels: new Uint32Array(rows.length / k).fill(label),
            soft: false,
          },
          `adversarial, K ${k}, label ${label}, lanes ${gpu.profile.lanes}`,
        )
    }
  })

test.after(() => device.close())

test.run()
