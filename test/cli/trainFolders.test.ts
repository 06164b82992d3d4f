import { spawnSync } from 'node:child_process'
import { copyFile, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import { runCli, temporaryFolder, tinyDataset } from './runCli.ts'

const FIXTURES = path.join(packageRoot(), 'test/fixtures/images/go')
const SMALL = ['--arch', 'resnet18', '--width', '0.0625', '--batch', '4', '--image-size', '32']

/** Five JPEGs in each of the classes a, c and d, of which b has none, and as many to test on. */
async function writeFolder(): Promise<string> {
  const folder = await temporaryFolder()
  for (const split of ['train', 'val'])
    for (const [level, name] of ['a', 'c', 'd'].entries()) {
      await mkdir(path.join(folder, split, name), { recursive: true })
      for (let i = 0; i < 5; i++) {
        const background = { r: 80 * level, g: 40 * i, b: 120 }
        await sharp({ create: { width: 40 + i, height: 36, channels: 3, background } })
          .jpeg()
          .toFile(path.join(folder, split, name, `${i}.jpg`))
      }
    }
  await mkdir(path.join(folder, 'train', 'b'))
  return folder
}

/** Puts one file of each bad kind before the good ones. @returns their paths */
async function addBadFiles(split: string): Promise<string[]> {
  const bad = (name: string) => path.join(split, 'c', name)
  await writeFile(bad('00-empty.jpg'), '')
  await copyFile(path.join(FIXTURES, 'video-001.jpeg'), bad('01-short.jpg'))
  await truncate(bad('01-short.jpg'), 3000)
  await copyFile(path.join(FIXTURES, 'basn2c08.png'), bad('02-png.jpg'))
  await writeFile(bad('03-text.png'), 'no image')
  // A PNG whose header promises 20,000 x 30,000 pixels.
  const png = await readFile(path.join(FIXTURES, 'basn2c08.png'))
  png.writeUInt32BE(20_000, 16)
  png.writeUInt32BE(30_000, 20)
  await writeFile(bad('04-huge.png'), png)
  return ['00-empty.jpg', '01-short.jpg', '02-png.jpg', '03-text.png', '04-huge.png'].map(bad)
}

const REASONS = [
  'is empty, expected an image',
  "can't be decoded: ",
  'holds a file of format png, expected jpeg',
  'is no image: ',
  'has 20000 x 30000 pixels, expected at most 33554432 in all',
]

test('bad files are reported by path and reason and left out, or refused; labels stay', async () => {
  const folder = await writeFolder()
  const bad = [
    ...(await addBadFiles(path.join(folder, 'train'))),
    ...(await addBadFiles(path.join(folder, 'val'))),
  ]
  const dataset = ['--dataset', `folder:${folder}`]
  const run = path.join(folder, 'run')
  const args = ['train', ...dataset, ...SMALL, '--epochs', '1', '--json']
  const end = await runCli([...args, '--out', run])
  assert.is(end.code, 0, end.stderr)
  for (const [i, file] of bad.entries())
    assert.is(
      end.stderr.split(`${file} ${REASONS[i % REASONS.length]}`).length - 1,
      1,
      `${file} is told once: ${end.stderr}`,
    )
  const report = JSON.parse(end.stdout)
  assert.equal([report.steps, report.badImages], [5, 10], '20 files, batches of 4')
  const { tensors } = await readSafetensors(path.join(run, 'weights.safetensors'))
  assert.equal(tensors.get('fc.bias')!.shape, [4], 'the class without images keeps its label')

  const evaluated = await runCli(['eval', run, '--json'])
  assert.is(evaluated.code, 0, evaluated.stderr)
  const { n, top1, badImages } = JSON.parse(evaluated.stdout)
  assert.equal([n, top1, badImages], [15, report.top1, 5])

  // Without images of the run's class 0, its classes are the run's 1 to 3.
  const withoutA = path.join(folder, 'without-a')
  await cp(path.join(folder, 'val'), path.join(withoutA, 'val'), { recursive: true })
  await cp(path.join(folder, 'train'), path.join(withoutA, 'train'), { recursive: true })
  await rm(path.join(withoutA, 'val/a'), { recursive: true })
  await rm(path.join(withoutA, 'train/a'), { recursive: true })
  const rest = ['eval', run, '--background', '--json', '--dataset', `folder:${withoutA}`]
  const foreground = await runCli(rest)
  assert.is(foreground.code, 0, foreground.stderr)
  const found = JSON.parse(foreground.stdout)
  assert.equal([found.n, found.top5], [10, 1], 'the best three of three classes')
  const background = await runCli(['eval', run, '--background'])
  assert.match(background.stderr, /an image has label 0, expected none of the background class/)
  for (const refused of [
    [...args, '--out', path.join(folder, 'strict'), '--on-bad-image', 'refuse'],
    ['eval', run, '--on-bad-image', 'refuse'],
    // A row less would shift the rows that follow.
    ['features', run, '--input', `folder:${folder}`, '--out', path.join(folder, 'f.safetensors')],
  ]) {
    const { code, stderr, stdout } = await runCli(refused)
    assert.is(code, 1, `${refused[0]}: ${stderr}`)
    assert.match(stderr, /^gramgrad: .*\/c\/0\d-\S+ (is|has|holds|can't) [^\n]*\n$/m)
    assert.is(stdout, '')
  }
  assert.not.ok((await readdir(folder)).includes('f.safetensors'), 'nothing half written')
})

test("the paper's recipe is read, and starts a run of a narrow network on a small folder", async () => {
  const folder = await writeFolder()
  const run = path.join(folder, 'run')
  const recipe = ['--config', path.join(packageRoot(), 'recipes/paper-resnet50.toml')]
  const small = ['--width', '0.0625', '--batch', '4', '--micro-batch', '2', '--image-size', '32']
  const args = ['train', ...recipe, '--dataset', `folder:${folder}`, ...small, '--out', run]
  const end = await runCli([...args, '--max-steps', '1', '--json'])
  assert.is(end.code, 0, end.stderr)
  const config = await readFile(path.join(run, 'config.toml'), 'utf8')
  for (const line of [
    'objective = "softmax"',
    // 15 images are three batches of four an epoch.
    'steps = 438',
    'warmupSteps = 30',
    'pool = "tf-same"',
    'init = "paper"',
    'points = "corner"',
    'evalCrop = "paper"',
    'ema = 0.9999',
    'weightDecay = 0.00008',
  ])
    assert.ok(config.includes(`${line}\n`), `${line} in ${config}`)
  const [first] = (await readFile(path.join(run, 'metrics.jsonl'), 'utf8')).split('\n')
  assert.is(JSON.parse(first!).lr, 1.6 / 30)
})

/** A mount namespace of its own, as root within it where that is needed; not all systems allow it. */
const namespace = ['-m', '-rm'].find(
  (flags) => spawnSync('unshare', [flags, 'mount', '-t', 'tmpfs', 'none', '/tmp']).status === 0,
)

;(namespace ? test : test.skip)(
  'a checkpoint that finds no room ends the run in one sentence, with nothing half written',
  async () => {
    const dataset = await tinyDataset()
    const run = path.join(await temporaryFolder(), 'run')
    await mkdir(run)
    const script = `mount -t tmpfs -o size=256k none "${run}"; "$@"; code=$?; ls "${run}/checkpoints"; exit $code`
    const cli = [process.execPath, path.join(packageRoot(), 'bin/gramgrad.mjs')]
    const args = ['train', '--dataset', `idx:${dataset}`, '--arch', 'resnet18', '--out', run]
    const small = ['--width', '0.0625', '--batch', '8', '--epochs', '1', '--json']
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      [namespace!, 'bash', '-c', script, 'bash', ...cli, ...args, ...small],
      { encoding: 'utf8' },
    )
    assert.is(status, 1, stderr)
    assert.match(
      stderr,
      /^gramgrad: \S+00006\.safetensors cannot be written: no space is left on the device\n$/m,
    )
    assert.is(stdout, '')
  },
)

test.run()
