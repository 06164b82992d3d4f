import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ImageSplit } from '../../src/data/dataset.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { openDataset } from '../../src/data/registry.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const embedded = join(packageRoot(), 'datasets/fashion-mnist')
const system = '/usr/share/datasets/fashion-mnist'
const absent = join(temporaryFolder(), 'absent')

function perClass({ labels }: ImageSplit): number[] {
  const counts = new Array<number>(10).fill(0)
  for (const label of labels) counts[label]!++
  return counts
}

function contents(folder: string, name: string): string {
  const bytes = gunzipSync(fs.readFileSync(join(folder, name)))
  return createHash('sha256').update(bytes).digest('hex')
}

test('the subset: 800 + 200 of each class, 28 x 28 grey', async () => {
  const data = await openDataset('fashion-mnist', { size: 'subset' })
  assert.is(data.name, 'fashion-mnist')
  assert.is(data.source, embedded)
  assert.is(data.classes, 10)
  assert.is(data.classNames[9], 'Ankle boot')
  assert.equal([data.channels, data.height, data.width], [1, 28, 28])
  assert.is(data.train.count, 8000)
  assert.is(data.test.count, 2000)
  assert.is(data.train.images.length, 8000 * 28 * 28)
  assert.equal(perClass(data.train), new Array(10).fill(800))
  assert.equal(perClass(data.test), new Array(10).fill(200))
  // The full training set has 0.28604 and 0.35302; a subset of 6 million pixels lies close.
  assert.ok(Math.abs(data.mean[0]! - 0.28604) < 2e-3)
  assert.ok(Math.abs(data.std[0]! - 0.35302) < 2e-3)
})

test('the subset: no image is there twice, in neither split nor across', async () => {
  const { train, test: heldOut } = await openDataset('fashion-mnist', { size: 'subset' })
  const seen = new Set<string>()
  for (const { images, count } of [train, heldOut]) {
    for (let i = 0; i < count; i++) {
      const image = images.subarray(i * 784, (i + 1) * 784)
      seen.add(createHash('sha256').update(image).digest('base64'))
    }
  }
  assert.is(seen.size, 10_000)
})

test('the committed files are below 4.5 MB and hold what their README says', () => {
  const readme = fs.readFileSync(join(embedded, 'README.md'), 'utf8')
  const files = fs.readdirSync(embedded).filter((name) => name.endsWith('.gz'))
  assert.is(files.length, 4)
  let total = 0
  for (const name of files) {
    total += fs.statSync(join(embedded, name)).size
    assert.match(readme, `| ${name.slice(0, -3)} | ${contents(embedded, name)} |`)
  }
  assert.ok(total < 4.5e6)
  assert.match(fs.readFileSync(join(embedded, 'LICENSE'), 'utf8'), 'Copyright (c) 2017 Zalando SE')
})

test('auto and full take the installed package, auto falls back on the subset', async () => {
  const auto = await openDataset('fashion-mnist', { systemFolder: absent })
  assert.is(auto.train.count, 8000)
  assert.is(
    await rejection(openDataset('fashion-mnist', { size: 'full', systemFolder: absent })),
    `fashion-mnist in full is not in ${absent}: install Debian's package dataset-fashion-mnist, ` +
      "give the path of a folder with the four files, or take size 'subset'",
  )
  // The embedded folder stands in for the package.
  for (const size of ['auto', 'full', undefined] as const) {
    const data = await openDataset('fashion-mnist', { size, systemFolder: embedded })
    assert.is(data.source, embedded)
  }
  const subset = await openDataset('fashion-mnist', { size: 'subset', systemFolder: absent })
  assert.is(subset.source, embedded)
})

test('a path is taken as it is; a broken one is an error, no fallback', async () => {
  for (const size of ['auto', 'full'] as const) {
    const data = await openDataset('fashion-mnist', { size, path: embedded, systemFolder: absent })
    assert.is(data.source, embedded)
  }
  const empty = temporaryFolder()
  assert.match(
    await rejection(openDataset('fashion-mnist', { path: empty })),
    `${empty} has no train images`,
  )
  assert.is(
    await rejection(openDataset('fashion-mnist', { path: empty, size: 'subset' })),
    `path is '${empty}', expected none with size 'subset', which is built in`,
  )
  assert.is(
    await rejection(openDataset('fashion-mnist', { size: 'huge' as 'full' })),
    "size is 'huge', expected one of subset, full, auto",
  )
})

test('the full set, where it is installed', async () => {
  if (!fs.existsSync(system)) return
  const data = await openDataset('fashion-mnist', { size: 'full' })
  assert.equal(perClass(data.train), new Array(10).fill(6000))
  assert.equal(perClass(data.test), new Array(10).fill(1000))
  // Published to four places: 0.2860 and 0.3530.
  assert.is(data.mean[0]!.toFixed(4), '0.2860')
  assert.is(data.std[0]!.toFixed(4), '0.3530')
})

test('the maker script gives the committed contents again, where the full set is', () => {
  if (!fs.existsSync(system)) return
  const out = temporaryFolder()
  const script = join(packageRoot(), 'scripts/datasets/makeFashionMnistSubset.mjs')
  const { status, stderr } = spawnSync(process.execPath, [script, '--out', out], {
    encoding: 'utf8',
  })
  assert.is(status, 0, stderr)
  for (const name of fs.readdirSync(out)) {
    assert.is(contents(out, name), contents(embedded, name), name)
  }
  assert.is(fs.readdirSync(out).length, 4)
})

test('the package root is found from bundles and refused elsewhere', () => {
  const root = packageRoot()
  assert.is(JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')).name, 'gramgrad')
  for (const place of ['dist/cli.mjs', 'build/test/data/a.test.mjs', 'src/data/packageRoot.ts']) {
    assert.is(packageRoot(pathToFileURL(join(root, place)).href), root)
  }
  const folder = temporaryFolder()
  fs.writeFileSync(join(folder, 'package.json'), '{"name": "another"}')
  assert.throws(
    () => packageRoot(pathToFileURL(join(folder, 'a.mjs')).href),
    `no folder from ${folder} upward has the package.json of gramgrad`,
  )
})

test.run()
