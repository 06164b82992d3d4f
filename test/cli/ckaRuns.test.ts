import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeNpy } from './arrayFiles.ts'
import { runCli, temporaryFolder, tinyDataset } from './runCli.ts'

// The same Gram matrices from other tiles and other orders of addition, in float32.
const TOLERANCE = 1e-5

const folder = await temporaryFolder()
const at = (name: string) => path.join(folder, name)
const data = `idx:${await tinyDataset(48, 40)}`

async function cli(...args: string[]): Promise<string> {
  const end = await runCli(args)
  assert.is(end.code, 0, end.stderr)
  return end.stdout
}

interface Report {
  readonly cka?: number
  readonly matrix: number[][]
  readonly layersA: string[]
  readonly layersB: string[]
  readonly n: number
  readonly batches: number
  readonly timing: { readonly peakBytes: number; readonly featureSeconds: number }
}

interface EpochLine {
  readonly measures?: { readonly r2Train: number | null; readonly r2Test: number | null }
}

const json = async (...args: string[]) => JSON.parse(await cli(...args, '--json')) as Report

const network = ['--arch', 'resnet18', '--width', '0.0625', '--stem', 'small']
for (const seed of [1, 2])
  await cli(
    ...['train', '--dataset', data, '--out', at(`run${seed}`), '--seed', `${seed}`, ...network],
    ...['--epochs', '2', '--batch', '16', '--lr', '0.05', '--separation', '40'],
  )

function checkMatrix(got: number[][], expected: number[][], what: string): void {
  assert.is(got.length, expected.length)
  for (const [i, row] of expected.entries())
    for (const [j, value] of row.entries())
      assert.ok(Math.abs(got[i]![j]! - value) < TOLERANCE, `${what} ${i}, ${j}: ${got[i]![j]}`)
}

test('runs: all pairs of blocks, as of files of their features, in little memory too', async () => {
  const runs = [at('run1'), at('run2')] as const
  const minibatches = ['--batch', '15', '--epochs', '2', '--seed', '3']
  const whole = await json('cka', ...runs, ...minibatches, '--svg', at('runs.svg'))
  assert.equal(whole.layersA.length, 9)
  assert.is(whole.layersA.at(-1), 'avgpool')
  assert.is(whole.n, 80)
  assert.is(whole.batches, 6)
  assert.ok(whole.timing.featureSeconds > 0)
  assert.match(await readFile(at('runs.svg'), 'utf8'), /layer4\.1/)
  const layers = whole.layersA.join()
  const files: string[] = []
  for (const run of runs) {
    files.push(`${run}.safetensors`)
    await cli('features', run, '--input', data, '--out', files.at(-1)!, '--layers', layers)
  }
  const ofFiles = await json('cka', ...files, '--layers', layers, ...minibatches)
  checkMatrix(whole.matrix, ofFiles.matrix, 'files')
  // 4 MiB: the first blocks' 15 x 16,384 values go to a file.
  const small = await json('cka', ...runs, ...minibatches, '--memory', '4MiB')
  checkMatrix(small.matrix, whole.matrix, 'little memory')
  assert.ok(small.timing.peakBytes < 2 ** 22, `${small.timing.peakBytes}`)
  const mixed = await json(
    ...['cka', runs[0], files[1]!, '--layers', 'layer2.1,layer4.1', ...minibatches],
  )
  const some = [3, 7]
  const expected = some.map((i) => some.map((j) => whole.matrix[i]![j]!))
  checkMatrix(mixed.matrix, expected, 'two layers of a run and of a file')
})

test("train --separation: R2 by epoch, at the end that of the run's features", async () => {
  const text = await readFile(path.join(at('run1'), 'metrics.jsonl'), 'utf8')
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as EpochLine)
  const epochs = lines.filter((line) => 'epoch' in line)
  assert.is(epochs.length, 2)
  for (const { r2Train } of epochs.map((line) => line.measures!))
    assert.ok(r2Train! > 0 && r2Train! < 1)
  // The labels of the data set, in its order.
  const labels = Int32Array.from({ length: 40 }, (_, i) => i % 3)
  await writeNpy(at('labels.npy'), [40], labels)
  const end = await runCli([
    ...['separation', `${at('run1')}.safetensors`, '--layers', 'avgpool'],
    ...['--labels', at('labels.npy'), '--json'],
  ])
  const { cosine } = JSON.parse(end.stdout) as { cosine: number }
  const { r2Test } = epochs[1]!.measures!
  assert.ok(Math.abs(r2Test! - cosine) < TOLERANCE, `${r2Test}, ${cosine}`)
})

test('--initial: the network as training began, 1 with itself', async () => {
  await cli(
    ...['train', '--dataset', data, '--out', at('untrained'), '--seed', '1', ...network],
    ...['--epochs', '1', '--batch', '16', '--lr', '1e-30', '--momentum', '0'],
  )
  // Weights that training left where they were, by moments that still hold their starting values.
  const withInitial = async (run: string): Promise<number> =>
    (await json('cka', at('untrained'), at(run), '--initial', '--layers', 'layer1.0')).cka!
  const same = await withInitial('run1')
  const other = await withInitial('run2')
  assert.ok(same > 0.99 && other < same, `${same}, ${other}`)
  const own = await json('cka', at('run1'), '--initial', '--moment-images', '32')
  for (const [i] of own.layersA.entries()) assert.ok(own.matrix[i]![i]! < 0.9999)
})

test('what does not fit is named in one sentence', async () => {
  const other = `idx:${await tinyDataset(48, 24)}`
  await cli(
    ...['train', '--dataset', other, '--out', at('other'), '--max-steps', '1', '--batch', '16'],
    ...network,
  )
  const cases: [string[], number, RegExp][] = [
    [['cka', at('run1')], 2, /missing required argument 'B'/],
    [['cka', at('run1'), at('other')], 1, /other was trained on idx.*expected --input/],
    [['cka', at('run1'), at('run2'), '--layers', 'layer9'], 1, /run1: .* no layer layer9/],
    [['cka', at('run1'), at('run2'), '--memory', '500KiB'], 1, /the networks \d+ MiB, but 1 MiB/],
    [['cka', at('run1.safetensors'), at('run1'), '--images', '20'], 1, /has 20 examples, but/],
  ]
  for (const [given, code, message] of cases) {
    const end = await runCli(given)
    assert.is(end.code, code, end.stderr)
    assert.match(end.stderr, message)
    assert.is(end.stdout, '')
  }
})

test.run()
