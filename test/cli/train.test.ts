import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readSafetensors, writeSafetensors } from '../../src/data/safetensors.ts'
import { assertRefusals, type Refusal, runCli, temporaryFolder, tinyDataset } from './runCli.ts'

// Six steps an epoch of 48 images.
const CONFIG = `
arch = "resnet18"
width = 0.0625
batch = 8
micro-batch = 4
epochs = 2
warmupSteps = 3
lr = 0.02
loss = "label-smoothing"
set = { alpha = 0.2 }
ema = 0.9
seed = 5
`

async function configuration(): Promise<{ folder: string; args: string[] }> {
  const folder = await temporaryFolder()
  await writeFile(path.join(folder, 'small.toml'), CONFIG)
  const dataset = await tinyDataset()
  return {
    folder,
    args: ['train', path.join(folder, 'small.toml'), '--dataset', `idx:${dataset}`, '--json'],
  }
}

async function lines(run: string): Promise<Record<string, number>[]> {
  const text = await readFile(path.join(run, 'metrics.jsonl'), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

// A step with a wrong kernel trains as well as none: loss 2.4, and 10 % right. Measured: 0.88 and 71 %.
test('thirty steps of the main job’s network learn Fashion-MNIST', async () => {
  const run = path.join(await temporaryFolder(), 'run')
  const recipe = ['--width', '0.125', '--zero-gamma', 'true', '--warmup-steps', '8', '--ema', '0']
  const end = await runCli([
    'train',
    ...['--dataset', 'fashion-mnist', '--augment', 'none', '--out', run, '--json'],
    ...[...recipe, '--steps', '30'],
  ])
  assert.is(end.code, 0, end.stderr)
  const losses = (await lines(run)).filter(({ loss }) => loss !== undefined).map((l) => l.loss!)
  const last = losses.slice(-5).reduce((sum, loss) => sum + loss / 5, 0)
  assert.ok(last < 1.2, `loss ${last} in the last five steps`)
  const { top1 } = JSON.parse(end.stdout)
  assert.ok(top1 > 0.5, `top-1 ${top1}`)
})

test('a configuration file and options that override it make a run folder', async () => {
  const { folder, args } = await configuration()
  const run = path.join(folder, 'run')
  const end = await runCli([...args, '--out', run, '--lr', '0.01', '--log-every', '4'])
  assert.is(end.code, 0, end.stderr)
  const report = JSON.parse(end.stdout)
  assert.equal(
    [report.run, report.epochs, report.steps],
    [run, 2, 12],
    'a line an epoch of six steps',
  )
  assert.ok(report.top1 >= 0 && report.top1 <= 1 && report.imagesPerSecond > 0)
  const metrics = await lines(run)
  assert.equal(
    metrics.map(({ step, epoch }) => [step, epoch]),
    [
      [4, undefined],
      [6, 1],
      [8, undefined],
      [12, undefined],
      [12, 2],
    ],
  )
  assert.is(report.loss, metrics.at(-1)!.loss)
  const config = await readFile(path.join(run, 'config.toml'), 'utf8')
  for (const line of ['lr = 0.01', 'alpha = 0.2', 'microBatch = 4', 'warmupSteps = 3', 'seed = 5'])
    assert.match(config, line)
  const { tensors } = await readSafetensors(path.join(run, 'weights.safetensors'))
  // Two micro-batches a step.
  assert.equal([...tensors.get('bn1.num_batches_tracked')!.data], [24n])
  const again = await runCli([...args, '--out', run, '--lr', '0.01', '--log-every', '4'])
  assert.is(again.code, 0, again.stderr)
  assert.is(JSON.parse(again.stdout).loss, report.loss, 'a finished run is not trained again')
  assert.not.match(again.stderr, 'Training: ')

  // The weights file alone says what network it is of.
  const out = path.join(folder, 'features.safetensors')
  const dataset = args[args.indexOf('--dataset') + 1]!
  const weightsFile = path.join(run, 'weights.safetensors')
  const asked = [
    'features',
    weightsFile,
    '--input',
    dataset,
    '--layers',
    'avgpool,fc',
    '--out',
    out,
  ]
  const found = await runCli([...asked, '--arch', 'resnet18', '--json'])
  assert.is(found.code, 0, found.stderr)
  assert.equal(JSON.parse(found.stdout).layers, { avgpool: [24, 32], fc: [24, 3] })
  assert.match(
    (await runCli([...asked, '--arch', 'resnet50'])).stderr,
    /holds the weights of a resnet18/,
  )

  // A run's own configuration, and its weights to start from.
  const second = path.join(folder, 'second')
  const from = ['--weights', path.join(run, 'weights.safetensors'), '--shuffle', 'none']
  const given = ['train', path.join(run, 'config.toml'), ...from, '--max-steps', '2', '--no-test']
  const end2 = await runCli([...given, '--json', '--out', second])
  assert.is(end2.code, 0, end2.stderr)
  assert.equal(JSON.parse(end2.stdout).undefined, { top1: '--no-test was given' })
  const { tensors: grown } = await readSafetensors(path.join(second, 'weights.safetensors'))
  assert.equal([...grown.get('bn1.num_batches_tracked')!.data], [28n], 'counted on')
})

test('wrong usage exits with 2 and names the setting, a wrong file or folder with 1', async () => {
  const { folder, args } = await configuration()
  const run = path.join(folder, 'run')
  assert.is((await runCli([...args, '--out', run, '--max-steps', '1', '--no-test'])).code, 0)
  const bad = path.join(folder, 'bad.toml')
  await writeFile(bad, 'learning-rate = 0.1\n')
  const cases: Refusal[] = [
    [['train', '--lr', 'fast'], 2, /--lr.*expected a number/],
    [['train', '--arch', 'vgg'], 2, /--arch.*expected one of resnet18/],
    [['train', '--nesterov', 'yes'], 2, /expected true or false/],
    [['train'], 2, /no data set is given/],
    [[...args, '--loss', 'hinge'], 2, /unknown objective hinge/],
    [[...args, '--set', 'gamma=1'], 2, /has no hyperparameter gamma/],
    [[...args, '--micro-batch', '3'], 2, /microBatch is 3, expected a divisor of the batch, 8/],
    [[...args, '--ema', '0.0001'], 2, /ema is 0.0001.*give the decay 0.9999/],
    [[...args, '--batch', '64', '--micro-batch', '64'], 2, /batch is 64, expected at most the 48/],
    [[...args, '--early-stop', '1'], 2, /earlyStop is 1, expected only with images held out/],
    [[...args, '--out', run, '--lr', '3'], 2, /holds a run whose lr is 0.02, not 3/],
    [['train', '--resume', run, '--lr', '3'], 2, /--lr is given with --resume/],
    [['train', '--resume', folder], 1, /holds no run to resume/],
    [['train', bad], 1, /bad.toml has the key learning-rate, expected one of/],
    [['train', path.join(folder, 'none.toml')], 1, /none.toml cannot be read: it does not exist/],
    [['train', '--dataset', 'cats'], 1, /cats/],
  ]
  await assertRefusals(cases)
})

test('a background class (D8): labels from 1, a class more, none of it in evaluation', async () => {
  const folder = await temporaryFolder()
  const dataset = ['--dataset', `idx:${await tinyDataset()}`, '--hold-out', '8']
  const size = ['--width', '0.0625', '--batch', '8', '--steps', '6', '--ema', '0']
  const train = async (name: string, ...more: string[]) => {
    const run = path.join(folder, name)
    const args = ['train', ...dataset, ...size, '--loss', 'sigmoid', '--out', run, '--json']
    const end = await runCli([...args, ...more])
    assert.is(end.code, 0, end.stderr)
    const { tensors } = await readSafetensors(path.join(run, 'weights.safetensors'))
    return { run, report: JSON.parse(end.stdout), bias: tensors.get('fc.bias')! }
  }
  const plain = await train('plain')
  const { run, report, bias } = await train('background', '--background', 'true')
  assert.equal(bias.shape, [plain.bias.shape[0]! + 1])
  const evaluated = await runCli(['eval', run, '--json'])
  assert.is(evaluated.code, 0, evaluated.stderr)
  assert.is(JSON.parse(evaluated.stdout).top1, report.top1)
  // A thousand logits more for class 0 change no rank and no probability.
  const file = path.join(run, 'weights.safetensors')
  const { tensors, metadata } = await readSafetensors(file)
  const raised = Float32Array.from(bias.data as Float32Array, (b, i) => (i === 0 ? 1000 : b))
  const changed = new Map(tensors).set('fc.bias', { ...bias, data: raised })
  await writeSafetensors(file, changed, metadata)
  const again = await runCli(['eval', run, '--json'])
  assert.is(again.code, 0, again.stderr)
  // The run is finished: the same command only tests these weights.
  assert.is((await train('background', '--background', 'true')).report.top1, report.top1)
  // In float64, less what 1,000 takes of its digits when the others are taken apart from it.
  const before = JSON.parse(evaluated.stdout)
  for (const [key, value] of Object.entries(JSON.parse(again.stdout)))
    assert.ok(value === before[key] || Math.abs((value as number) / before[key] - 1) < 1e-10, key)
})

test.run()
