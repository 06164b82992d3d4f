import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeFileWhole } from '../../src/data/files.ts'
import { encodeIdx } from '../../src/data/idx.ts'
import { runCli, temporaryFolder } from './runCli.ts'

const SIDE = 36
const CLASSES = ['ant', 'bee', 'cat']
const folder = await temporaryFolder()

/** Grey pictures, bright in a third of their own. */
function picture(label: number, i: number): Uint8Array {
  return Uint8Array.from({ length: SIDE * SIDE }, (_, at) => {
    const isBright = Math.floor((3 * at) / (SIDE * SIDE)) === label
    return (isBright ? 150 : 30) + ((at * (7 * i + 3 * label + 11)) % 90)
  })
}

/** Writes a split as PNG files, and as IDX files in the order in which folders are read. */
async function writeSplit(
  name: string,
  split: string,
  idxPrefix: string,
  first: number,
  n: number,
) {
  const pictures = CLASSES.flatMap((_, label) =>
    Array.from({ length: n }, (__, i) => ({ label, i, pixels: picture(label, first + i) })),
  )
  for (const { label, i, pixels } of pictures) {
    const own = path.join(folder, name, split, CLASSES[label]!)
    await mkdir(own, { recursive: true })
    const raw = { width: SIDE, height: SIDE, channels: 1 } as const
    await sharp(pixels, { raw })
      .png()
      .toFile(path.join(own, `${String(i).padStart(3, '0')}.png`))
  }
  const idx = path.join(folder, `${name}-idx`)
  await mkdir(idx, { recursive: true })
  await writeFileWhole(path.join(idx, `${idxPrefix}-images-idx3-ubyte`), [
    encodeIdx([pictures.length, SIDE, SIDE], Buffer.concat(pictures.map(({ pixels }) => pixels))),
  ])
  await writeFileWhole(path.join(idx, `${idxPrefix}-labels-idx1-ubyte`), [
    encodeIdx(
      [pictures.length],
      Uint8Array.from(pictures, ({ label }) => label),
    ),
  ])
}

await writeSplit('main', 'train', 'train', 0, 12)
await writeSplit('main', 'val', 't10k', 50, 6)
await writeSplit('other', 'train', 'train', 100, 6)
await writeSplit('other', 'val', 'unused', 150, 3)
await writeSplit('other', 'test', 't10k', 200, 4)

/** Everything that needs the image path: crops, mixing, averages, micro-batches, minibatches of CKA. */
const toml = (dataset: string) => `dataset = "${dataset}"
objectives = ["softmax", "squared-error"]
seeds = [1]
[training]
arch = "resnet18"
width = 0.0625
image-size = 32
epochs = 2
batch = 8
micro-batch = 4
lr = 0.02
augment = "random-resized"
mixup = 0.2
ema = 0.9
filter = "bicubic"
antialias = false
points = "corner"
eval-crop = "paper"
[trainingOf.squared-error]
epochs = 3
warmupEpochs = 1
[analysis]
images = 30
split = "train"
ckaImages = 16
ckaBatch = 6
ckaEpochs = 2
[transfer]
datasets = ["folder:other"]
metrics = { "folder:other" = "per-class" }
resize = 32
lambdas = [0.01, 1]
`

async function write(name: string, text: string): Promise<string> {
  const file = path.join(folder, `${name}.toml`)
  await writeFile(file, text)
  return file
}

const streamed = await write('streamed', toml('folder:main'))
const inMemory = await write('memory', toml('idx:main-idx'))
const study = (command: string, file: string, out: string, ...more: string[]) =>
  runCli(['study', command, file, '--data', folder, '--out', path.join(folder, out), ...more])

/** What every run found, by run and file, without the key that names the data set. */
async function results(out: string): Promise<Record<string, unknown>> {
  const runs = path.join(folder, out, 'runs')
  const found: Record<string, unknown> = {}
  for (const run of (await readdir(runs)).sort()) {
    for (const name of await readdir(path.join(runs, run)))
      if (name.endsWith('.json'))
        found[`${run}/${name}`] = JSON.parse(
          await readFile(path.join(runs, run, name), 'utf8'),
        ).result
    found[`${run}/metrics`] = await readFile(path.join(runs, run, 'metrics.jsonl'), 'utf8')
  }
  return found
}

test('a streamed study finds the same, to the bit, as one of the same pixels in memory', async () => {
  for (const [file, out] of [
    [streamed, 'from-folder'],
    [inMemory, 'from-memory'],
  ] as const) {
    const { code, stdout, stderr } = await study('run', file, out, '--json')
    assert.is(code, 0, stderr)
    assert.is(JSON.parse(stdout).done, 2)
  }
  const found = await results('from-folder')
  assert.equal(Object.keys(found), [
    ...[
      'cka.json',
      'evaluation.json',
      'layers.json',
      'transfer-folder%3Aother.json',
      'metrics',
    ].map((name) => `softmax-seed1/${name}`),
    ...[
      'cka.json',
      'evaluation.json',
      'layers.json',
      'transfer-folder%3Aother.json',
      'metrics',
    ].map((name) => `squared-error-seed1/${name}`),
  ])
  assert.equal(found, await results('from-memory'))
  const {
    train,
    test: tested,
    linear,
  } = found['softmax-seed1/transfer-folder%3Aother.json'] as Record<string, Record<string, number>>
  assert.equal([train, tested], [27, 12], 'validation images are learnt from after the choice')
  assert.ok(linear!.meanPerClass! > 0)
  const steps = (run: string) => (found[`${run}/metrics`] as string).match(/"lr"/g)!.length
  assert.equal([steps('softmax-seed1'), steps('squared-error-seed1')], [8, 12], 'epochs of 4 steps')
  const report = await study('report', streamed, 'from-folder', '--json')
  assert.is(report.code, 0, report.stderr)
  const page = await readFile(JSON.parse(report.stdout).report, 'utf8')
  assert.match(page, 'trained for 8 to 12 steps of 8 on 36 images of folder:main')
  assert.match(page, 'random resized crops and mirroring, Mixup 0.2')
})

test('killed in the middle, a streamed study goes on and ends with the same bytes', async () => {
  const out = 'killed'
  const args = ['study', 'run', streamed, '--data', folder, '--out', path.join(folder, out)]
  let isKilled = false
  await runCli(args, {
    onStderr: (text, _, kill) => {
      if (isKilled || !/Layers of|Testing/.test(text)) return
      isKilled = true
      kill()
    },
  })
  assert.ok(isKilled, 'it was killed after the first training')
  const { code, stdout, stderr } = await study('run', streamed, out, '--json')
  assert.is(code, 0, stderr)
  assert.is(JSON.parse(stdout).done, 2)
  assert.equal(await results(out), await results('from-folder'))
})

test('a plan of a streamed study says how long and how much disk', async () => {
  const { code, stdout, stderr } = await study('plan', streamed, 'planned', '--json')
  assert.is(code, 0, stderr)
  const plan = JSON.parse(stdout)
  assert.is(plan.runs.length, 2)
  assert.ok(plan.minutesLeft >= 1 && plan.lookingMinutesLeft >= 1 && plan.megabytesLeft >= 1)
})

test('a file that gives no image is told and left out, or refused', async () => {
  const bad = path.join(folder, 'main', 'train', 'cat', '011.png')
  const good = await readFile(bad)
  await writeFile(bad, 'no image')
  try {
    const skipped = await study('run', streamed, 'bad', '--only', 'softmax-seed1', '--json')
    assert.is(skipped.code, 0, skipped.stderr)
    assert.is(skipped.stderr.split(`${bad} is no image`).length - 1, 1, skipped.stderr)
    const strict = toml('folder:main').replace('[training]', '[training]\non-bad-image = "refuse"')
    const refused = await study('run', await write('strict', strict), 'strict')
    assert.is(refused.code, 1)
    assert.match(refused.stderr, `${bad} is no image`)
  } finally {
    await writeFile(bad, good)
  }
})

test('a missing folder or split is one sentence before anything runs', async () => {
  await mkdir(path.join(folder, 'single', 'ant'), { recursive: true })
  await sharp(picture(0, 0), { raw: { width: SIDE, height: SIDE, channels: 1 } })
    .png()
    .toFile(path.join(folder, 'single', 'ant', '0.png'))
  const text = toml('folder:main')
  for (const [name, wrong, sentence] of [
    ['nowhere', text.replace('folder:main', 'folder:absent'), /absent cannot be read/],
    ['one', text.replace('folder:main', 'folder:single'), /folder:single, which has one split/],
    ['set', text.replaceAll('folder:other', 'folder:absent'), /absent cannot be read/],
    [
      'metric',
      text.replace('{ "folder:other"', '{ "folder:x"'),
      /transfer.metrics names folder:x, expected one of folder:other/,
    ],
  ] as const) {
    const end = await study('run', await write(name, wrong), name)
    assert.is(end.code, 1, end.stderr)
    assert.match(end.stderr, sentence)
    assert.is(end.stderr.trim().split('\n').length, 1, end.stderr)
  }
  await rm(path.join(folder, 'single'), { recursive: true })
})

test.run()
