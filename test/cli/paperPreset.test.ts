import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { runCli, temporaryFolder } from './runCli.ts'

const data = await temporaryFolder()

/** Four tiny JPEGs in each of two classes of a split. */
async function writeSplit(set: string, split: string): Promise<void> {
  for (const [label, name] of ['a', 'b'].entries()) {
    const folder = path.join(data, set, split, name)
    await mkdir(folder, { recursive: true })
    for (let i = 0; i < 4; i++) {
      const background = { r: 100 * label + 20 * i, g: 60 * i, b: 90 }
      await sharp({ create: { width: 40 + i, height: 36, channels: 3, background } })
        .jpeg()
        .toFile(path.join(folder, `${i}.jpg`))
    }
  }
}

/** Records of CIFAR's binary version. */
function records(labelBytes: number, count: number): Uint8Array {
  const length = labelBytes + 3072
  return Uint8Array.from({ length: length * count }, (_, at) => {
    const record = Math.floor(at / length)
    return at % length < labelBytes ? record % 3 : (at * (record + 3)) % 251
  })
}

await writeSplit('imagenet', 'train')
await writeSplit('imagenet', 'val')
for (const set of ['food-101', 'birdsnap', 'sun397', 'stanford-cars', 'oxford-pets']) {
  await writeSplit(set, 'train')
  await writeSplit(set, 'test')
}
for (const split of ['train', 'val', 'test']) await writeSplit('oxford-flowers', split)
await mkdir(path.join(data, 'cifar-10/cifar-10-batches-bin'), { recursive: true })
for (const name of [...[1, 2, 3, 4, 5].map((i) => `data_batch_${i}`), 'test_batch'])
  await writeFile(path.join(data, 'cifar-10/cifar-10-batches-bin', `${name}.bin`), records(1, 6))
await mkdir(path.join(data, 'cifar-100/cifar-100-binary'), { recursive: true })
for (const [name, count] of [
  ['train', 12],
  ['test', 6],
] as const)
  await writeFile(path.join(data, 'cifar-100/cifar-100-binary', `${name}.bin`), records(2, count))

/** The preset, but for what makes it long. */
const preset = await readFile(path.join(packageRoot(), 'studies/paper.toml'), 'utf8')
const small = [
  ['width = 1\n', 'width = 0.0625\n'],
  ['batch = 4096', 'batch = 4'],
  ['microBatch = 32', 'microBatch = 2'],
  ['imageSize = 224', 'imageSize = 32'],
  ['resize = 224', 'resize = 32'],
  ['warmupEpochs = 10', 'warmupEpochs = 1'],
  ['softmax = { epochs = 146 }', 'softmax = { epochs = 8 }'],
].reduce((text, [before, after]) => {
  assert.ok(text.includes(before!), before)
  return text.replace(before!, after!)
}, preset)
const file = path.join(data, 'small.toml')
await writeFile(file, small)
const out = path.join(data, 'out')
const study = (command: string, ...more: string[]) =>
  runCli(['study', command, file, '--data', data, '--out', out, ...more])

test('the preset is planned on folders laid out as the documentation says', async () => {
  const { code, stdout, stderr } = await study('plan')
  assert.is(code, 0, stderr)
  assert.match(stdout, 'to do  softmax-seed1\n')
  assert.match(stdout, 'to do  cosine-softmax-tau0.08-seed3\n')
  assert.match(
    stdout,
    /0 of 93 runs are done in .*out\. The others take about \d+ min of training, \d+ min of looking at images otherwise, .* and \d+ MB on /,
  )
})

test('a run of it trains, and tries its features on all eight sets', async () => {
  const { code, stderr } = await study('run', '--only', 'softmax-seed1')
  assert.is(code, 0, stderr)
  const names = (await readdir(path.join(out, 'runs/softmax-seed1'))).sort()
  const found = names.filter((name) => name.startsWith('transfer-'))
  assert.is(found.length, 8, `${names}`)
  for (const [set, train, test] of [
    ['folder%3Aoxford-flowers', 16, 8],
    ['cifar10%3Acifar-10', 30, 6],
    ['folder%3Afood-101', 8, 8],
  ] as const) {
    const text = await readFile(
      path.join(out, 'runs/softmax-seed1', `transfer-${set}.json`),
      'utf8',
    )
    const { result } = JSON.parse(text)
    assert.equal([result.train, result.test], [train, test], set)
  }
  const metrics = await readFile(path.join(out, 'runs/softmax-seed1/metrics.jsonl'), 'utf8')
  assert.match(metrics, '"measures":{"r2Train":', 'class separation after the eighth epoch')
})

test('a data set that is missing is one sentence before anything runs', async () => {
  await rename(path.join(data, 'sun397'), path.join(data, 'elsewhere'))
  const end = await study('run')
  assert.is(end.code, 1)
  assert.match(end.stderr, `${path.join(data, 'sun397')} cannot be read`)
  assert.is(end.stderr.trim().split('\n').length, 1, end.stderr)
})

test.run()
