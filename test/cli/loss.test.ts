import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type NamedTensor, readSafetensors, writeSafetensors } from '../../src/data/safetensors.ts'
import { relativeError } from '../../src/selfTest/reference/compare.ts'
import { rowLosses } from '../losses/reference.ts'
import { drawLogits, oneHot } from '../losses/rows.ts'
import { runCli, temporaryFolder } from './runCli.ts'

const folder = await temporaryFolder()
const [N, K] = [6, 5]
const labels = Uint32Array.from({ length: N }, (_, i) => (i * 2) % K)
const logits: NamedTensor = { shape: [N, K], data: drawLogits(N, K, 3, 9) }
const labelTensor: NamedTensor = { shape: [N], data: Int32Array.from(labels) }

async function file(name: string, tensors: Readonly<Record<string, NamedTensor>>): Promise<string> {
  const to = path.join(folder, `${name}.safetensors`)
  await writeSafetensors(to, new Map(Object.entries(tensors)))
  return to
}

const good = await file('good', { logits, labels: labelTensor })

test('logits in, the loss on stdout as one JSON object, losses and gradients out', async () => {
  const out = path.join(folder, 'out.safetensors')
  const args = ['loss', 'label-smoothing', '--in', good, '--set', 'alpha=0.2', '--out', out]
  const end = await runCli([...args, '--json'])
  assert.is(end.code, 0, end.stderr)
  assert.is(end.stdout.trimEnd().split('\n').length, 1)
  const report = JSON.parse(end.stdout) as { loss: number; n: number; classes: number }
  const { tensors } = await readSafetensors(out)
  assert.equal([...tensors.keys()].sort(), ['d_logits', 'per_example'])
  const t = oneHot(labels, K)
  const rows = Array.from({ length: N }, (_, i) => {
    const of = (array: Float32Array) => Float64Array.from(array.subarray(i * K, (i + 1) * K))
    return rowLosses.softmaxCrossEntropy!(of(logits.data as Float32Array), of(t), {
      smoothing: 0.2,
    })
  })
  const expected = rows.map(({ loss }) => loss)
  const gradient = rows.flatMap((row) => [...row.gradient].map((g) => g / N))
  // The bounds of the issue: 1e-6 for losses, 1e-5 for gradients.
  const mean = expected.reduce((a, b) => a + b) / N
  assert.ok(Math.abs(report.loss / mean - 1) < 1e-6, `${report.loss}, expected ${mean}`)
  assert.equal([report.n, report.classes], [N, K])
  const found = (name: string) => Array.from(tensors.get(name)!.data as Float32Array)
  assert.ok(relativeError(found('per_example'), expected) < 1e-6)
  assert.ok(relativeError(found('d_logits'), gradient) < 1e-5)

  const text = await runCli(args)
  assert.match(text.stdout, /^label-smoothing: loss [\d.]+, 6 examples, 5 classes\n$/)
})

test('features, weight and bias in: the gradients of all three, in the layout of PyTorch', async () => {
  const M = 4
  const weight = drawLogits(K, M, 1, 2)
  const features = drawLogits(N, M, 1, 3)
  const bias = drawLogits(1, K, 1, 4)
  const t = drawLogits(N, K, 0, 1).map((_, i) => (i % K === Math.floor(i / K) % K ? 0.75 : 0.0625))
  const f = await file('features', {
    features: { shape: [N, M], data: features },
    weight: { shape: [K, M], data: Float64Array.from(weight) },
    bias: { shape: [K], data: bias },
    targets: { shape: [N, K], data: t },
  })
  const out = path.join(folder, 'features-out.safetensors')
  const end = await runCli(['loss', 'softmax', '--in', f, '--out', out])
  assert.is(end.code, 0, end.stderr)
  const { tensors } = await readSafetensors(out)
  const shapes = [...tensors].map(([name, { shape }]) => [name, shape])
  assert.equal(Object.fromEntries(shapes), {
    per_example: [N],
    d_features: [N, M],
    d_weight: [K, M],
    d_bias: [K],
  })
  const expected = { features: new Float64Array(N * M), weight: new Float64Array(K * M) }
  for (let i = 0; i < N; i++) {
    const z = Float64Array.from(bias, (b, k) => {
      let sum = b
      for (let m = 0; m < M; m++) sum += features[i * M + m]! * weight[k * M + m]!
      return sum
    })
    const row = rowLosses.softmaxCrossEntropy!(
      z,
      Float64Array.from(t.subarray(i * K, (i + 1) * K)),
      {},
    )
    for (let k = 0; k < K; k++)
      for (let m = 0; m < M; m++) {
        expected.features[i * M + m]! += (row.gradient[k]! * weight[k * M + m]!) / N
        expected.weight[k * M + m]! += (row.gradient[k]! * features[i * M + m]!) / N
      }
  }
  for (const name of ['features', 'weight'] as const) {
    const error = relativeError(tensors.get(`d_${name}`)!.data as Float32Array, expected[name])
    assert.ok(error < 1e-5, `d_${name}: relative error ${error}`)
  }
})

test('what cannot be computed: exit code 1 and a sentence that names the file', async () => {
  const notFinite = Float32Array.from(logits.data as Float32Array)
  notFinite[7] = Number.NaN
  const huge = drawLogits(N, K, 1e25, 9)
  const text = path.join(folder, 'text.safetensors')
  await writeFile(text, 'not a tensor in here, only words')
  const short: NamedTensor = { shape: [N - 1], data: Int32Array.from(labels.subarray(1)) }
  const cases: [string, string, RegExp][] = [
    ['softmax', path.join(folder, 'missing.safetensors'), /missing\.safetensors/],
    ['softmax', text, /text\.safetensors/],
    ['softmax', await file('bare', { labels: labelTensor }), /neither logits and features/],
    ['softmax', await file('unlabelled', { logits }), /neither labels and targets/],
    [
      'softmax',
      await file('both', { logits, labels: labelTensor, targets: logits }),
      /both labels and targets/,
    ],
    ['softmax', await file('short', { logits, labels: short }), /labels are \[5\], expected \[6\]/],
    [
      'softmax',
      await file('range', {
        logits,
        labels: { shape: [N], data: BigInt64Array.of(0n, 1n, 2n, 3n, 4n, 5n) },
      }),
      /label 5 is 5, expected an integer from 0 to 4/,
    ],
    [
      'softmax',
      await file('rank', { logits: { shape: [N * K], data: logits.data }, labels: labelTensor }),
      /logits is \[30\], expected 2 dimensions/,
    ],
    [
      'sigmoid',
      await file('nan', { logits: { shape: [N, K], data: notFinite }, labels: labelTensor }),
      /logits holds NaN at element 7/,
    ],
    [
      'squared-error',
      await file('huge', { logits: { shape: [N, K], data: huge }, labels: labelTensor }),
      /squared-error/,
    ],
    ['cosine-softmax', good, /give them with the bias instead of the logits/],
    [
      'cosine-softmax',
      await file('layer', {
        features: { shape: [N, 2], data: new Float32Array(2 * N) },
        weight: { shape: [K, 3], data: new Float32Array(3 * K) },
        bias: { shape: [K], data: new Float32Array(K) },
        labels: labelTensor,
      }),
      /weight is \[5,3\], expected \[5,2\]/,
    ],
  ]
  for (const [name, input, message] of cases) {
    const end = await runCli(['loss', name, '--in', input, '--json'])
    assert.is(end.code, 1, `${input}: ${end.stderr}`)
    assert.is(end.stdout, '', input)
    assert.match(end.stderr, message)
    // Where a device was opened, the driver's warnings come first.
    assert.match(end.stderr, /^(Warning: [^\n]*\n)*gramgrad: [^\n]*\n$/)
  }
})

test('wrong usage: exit code 2 and a sentence', async () => {
  const usage = (...args: string[]) => runCli(['loss', ...args])
  const cases: [string[], RegExp][] = [
    [['hinge', '--in', good], /unknown objective hinge, expected one of softmax, label-smoothing/],
    [['sigmoid+softmax', '--in', good], /sigmoid is a loss/],
    [['logit-norm', '--in', good, '--set', 'tau=0'], /tau is 0, expected a number above 0/],
    [['softmax', '--in', good, '--set', 'tau=1'], /softmax has no hyperparameter tau/],
    [
      ['softmax', '--in', good, '--set', 'variant=code'],
      /variant=code, expected paper or released/,
    ],
    [['dropout', '--in', good, '--set', 'keep=most'], /keep=most, expected a number/],
    [['dropout', '--in', good, '--set', 'keep'], /expected key=value/],
    [['dropout', '--in', good, '--seed', '-1'], /expected an integer of at least 0/],
    [['softmax'], /--in <F>/],
  ]
  for (const [args, message] of cases) {
    const end = await usage(...args)
    assert.is(end.code, 2, `${args}: ${end.stderr}`)
    assert.is(end.stdout, '')
    assert.match(end.stderr, message)
    assert.match(end.stderr, /^[^\n]*\n$/)
  }
})

test("--help says what the command takes, and an option's default only where it has one", async () => {
  const { code, stdout } = await runCli(['loss', '--help'])
  assert.is(code, 0)
  for (const option of ['--in', '--set', '--out', '--seed', '--json']) assert.match(stdout, option)
  assert.not.match(stdout, '{}')
})

test.run()
