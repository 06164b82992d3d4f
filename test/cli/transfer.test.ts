import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type NamedTensor, readSafetensors, writeSafetensors } from '../../src/data/safetensors.ts'
import { temporaryFolder } from '../data/temporaryFolder.ts'
import { readFixture } from '../transfer/fixture.ts'
import { runCli, tinyDataset } from './runCli.ts'

const folder = temporaryFolder()

async function write(name: string, tensors: Record<string, NamedTensor>): Promise<string> {
  const file = path.join(folder, `${name}.safetensors`)
  await writeSafetensors(file, new Map(Object.entries(tensors)))
  return file
}

async function writeSet(name: string, set: 'train' | 'test'): Promise<string> {
  const { features, labels, width } = (await readFixture(name))[set]
  return write(`${name}-${set}`, {
    features: { shape: [labels.length, width], data: features },
    labels: { shape: [labels.length], data: BigInt64Array.from(labels, BigInt) },
  })
}

/** Two classes on two sides, few rows: 45 fits take a second. */
async function writeTiny(name: string, count: number): Promise<string> {
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2)
  const features = Float32Array.from(
    { length: 3 * count },
    (_, i) => Math.sin(7 * i) + labels[Math.floor(i / 3)]!,
  )
  return write(name, {
    features: { shape: [count, 3], data: features },
    labels: { shape: [count], data: labels },
  })
}

const train = await writeSet('rectified', 'train')
const held = await writeSet('rectified', 'test')

test('transfer linear --json: one object, converged', async () => {
  const files = ['--train', await writeTiny('tiny', 60), '--test', await writeTiny('more', 20)]
  const args = ['transfer', 'linear', ...files, '--seed', '3', '--json']
  const end = await runCli(args)
  assert.is(end.code, 0, end.stderr)
  const report = JSON.parse(end.stdout)
  assert.is(report.converged, true)
  assert.ok(report.gradientNorm >= 0 && report.gradientNorm < 1)
  assert.is(report.path.length, 45)
  assert.is(report.perClass.length, 2)
  // The means of the classes are 2.4 deviations apart along their line: 0.89 at best.
  assert.ok(report.accuracy > 0.7)
  assert.ok(report.path.some(({ lambda }: { lambda: number }) => lambda === report.lambda))
})

test('transfer knn: k and accuracy of scikit-learn, features as the argument', async () => {
  const { answers, test: set } = await readFixture('rectified')
  const expected = answers.knn.euclidean
  const args = ['transfer', 'knn', train, '--test', held, '--distance', 'euclidean']
  const end = await runCli([...args, '--most-neighbours', '30', '--json'])
  assert.is(end.code, 0, end.stderr)
  const report = JSON.parse(end.stdout)
  assert.is(report.k, expected.k)
  const right = expected.predictions.filter((label, i) => label === set.labels[i]).length
  assert.is(report.accuracy, right / set.labels.length)
  assert.is(report.converged, null)
  assert.ok(report.undefined.converged)
  const text = await runCli([...args, '--most-neighbours', '30'])
  assert.match(text.stdout, new RegExp(`^knn: accuracy [\\d.]+ %, k ${expected.k}\n$`))
})

test('transfer of a run: the features that the command features writes', async () => {
  const dataset = `idx:${await tinyDataset(48, 24)}`
  const run = path.join(folder, 'run')
  const settings = ['--width', '0.0625', '--batch', '16', '--max-steps', '2', '--out', run]
  const trained = await runCli(['train', '--loss', 'softmax', '--dataset', dataset, ...settings])
  assert.is(trained.code, 0, trained.stderr)
  const files: string[] = []
  for (const split of ['train', 'test'] as const) {
    const out = path.join(folder, `layers-${split}.safetensors`)
    const args = ['features', run, '--input', dataset, '--split', split, '--layers', 'avgpool']
    const end = await runCli([...args, '--out', out])
    assert.is(end.code, 0, end.stderr)
    const { data, shape } = (await readSafetensors(out)).tensors.get('avgpool')!
    const labels = {
      shape: [shape[0]!],
      data: Int32Array.from({ length: shape[0]! }, (_, i) => i % 3),
    }
    files.push(await write(`own-${split}`, { features: { shape, data }, labels }))
  }
  for (const method of ['linear', 'knn']) {
    const ofRun = ['transfer', method, run, '--train', dataset, '--test', dataset, '--json']
    const ofFiles = ['transfer', method, '--train', files[0]!, '--test', files[1]!, '--json']
    const [a, b] = [await runCli(ofRun), await runCli(ofFiles)]
    assert.is(a.code, 0, a.stderr)
    assert.is(a.stdout, b.stdout)
  }
  const missing = await runCli(['transfer', 'knn', run, '--test', dataset])
  assert.match(missing.stderr, /is a run: expected --train/)
  const none = await runCli(['transfer', 'knn', folder, '--train', dataset, '--test', dataset])
  assert.match(none.stderr, /holds no run/)
})

test('wrong usage exits with 2, files that do not fit with 1 and a sentence', async () => {
  const labels = { shape: [2], data: Int32Array.of(0, 1) }
  const wide = await write('wide', {
    features: { shape: [2, 3], data: new Float32Array(6) },
    labels,
  })
  const cases: [string[], number, RegExp][] = [
    [['finetune', '--train', train, '--test', held], 2, /linear, knn/],
    [['linear', '--train', train], 2, /--test/],
    [['knn', '--train', train, '--test', held, '--seed', '-1'], 2, /seed/],
    [['linear', '--test', held], 1, /given nowhere/],
    [['linear', train, '--train', train, '--test', held], 1, /given twice/],
    [['knn', '--train', train, '--test', wide], 1, /wide.safetensors has 3 features.*expected 170/],
    [['knn', '--train', `${train}x`, '--test', held], 1, /does not exist/],
    [['knn', '--train', await write('bare', { labels }), '--test', held], 1, /has no features/],
  ]
  for (const [args, code, message] of cases) {
    const end = await runCli(['transfer', ...args])
    assert.is(end.code, code, end.stderr)
    assert.match(end.stderr, message)
    assert.is(end.stdout, '')
  }
})

test.run()
