import fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeIdx } from '../../src/data/idx.ts'
import { datasetSpecs, openDataset } from '../../src/data/registry.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const TRAIN = encodeIdx([3, 2, 2], Uint8Array.of(0, 255, 0, 255, 51, 51, 51, 51, 0, 0, 0, 0))
const TRAIN_LABELS = encodeIdx([3], Uint8Array.of(0, 2, 1))
const TEST = encodeIdx([1, 2, 2], Uint8Array.of(9, 8, 7, 6))
const TEST_LABELS = encodeIdx([1], Uint8Array.of(2))

const MNIST_NAMES = {
  'train-images-idx3-ubyte': TRAIN,
  'train-labels-idx1-ubyte': TRAIN_LABELS,
  't10k-images-idx3-ubyte': TEST,
  't10k-labels-idx1-ubyte': TEST_LABELS,
}

function write(folder: string, files: Record<string, Uint8Array>): string {
  fs.mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of Object.entries(files)) {
    const stored = name.endsWith('.gz') ? gzipSync(bytes) : bytes
    fs.writeFileSync(join(folder, name), stored)
  }
  return folder
}

function renamed(rename: (name: string) => string): Record<string, Uint8Array> {
  return Object.fromEntries(
    Object.entries(MNIST_NAMES).map(([name, bytes]) => [rename(name), bytes]),
  )
}

async function assertOpens(path: string): Promise<void> {
  const data = await openDataset(`idx:${path}`)
  assert.is(data.name, `idx:${path}`)
  assert.is(data.train.count, 3)
  assert.equal([...data.test.images], [9, 8, 7, 6])
}

test('a folder: shapes, classes, labels and exact statistics', async () => {
  const folder = write(temporaryFolder(), MNIST_NAMES)
  const data = await openDataset(`idx:${folder}`)
  assert.is(data.source, folder)
  assert.is(data.classes, 3)
  assert.equal(data.classNames, ['0', '1', '2'])
  assert.equal([data.channels, data.height, data.width], [1, 2, 2])
  assert.equal([...data.train.labels], [0, 2, 1])
  assert.equal([...data.test.labels], [2])
  assert.is(data.train.images.length, 3 * 2 * 2)
  // 12 pixels: twice 1, four times 0.2: mean 2.8/12, mean square 2.16/12.
  assert.ok(Math.abs(data.mean[0]! - 2.8 / 12) < 1e-15)
  assert.ok(Math.abs(data.std[0]! - Math.sqrt(2.16 / 12 - (2.8 / 12) ** 2)) < 1e-15)
})

test('the layouts that users have', async () => {
  const folder = temporaryFolder()
  await assertOpens(
    write(
      join(folder, 'packed'),
      renamed((name) => `${name}.gz`),
    ),
  )
  await assertOpens(
    write(
      join(folder, 'dots'),
      renamed((name) => name.replace('-idx', '.idx')),
    ),
  )
  write(join(folder, 'torchvision', 'raw'), MNIST_NAMES)
  await assertOpens(join(folder, 'torchvision'))
  const emnist = renamed((name) => `emnist-letters-${name.replace('t10k', 'test')}.gz`)
  write(join(folder, 'gzip'), emnist)
  await assertOpens(join(folder, 'gzip', 'emnist-letters'))
  await assertOpens(join(folder, 'gzip', 'emnist-letters-'))
})

test('a plain file wins over a gzip one', async () => {
  const folder = write(temporaryFolder(), MNIST_NAMES)
  write(folder, { 't10k-labels-idx1-ubyte.gz': encodeIdx([1], Uint8Array.of(0)) })
  assert.equal([...(await openDataset(`idx:${folder}`)).test.labels], [2])
})

test('a missing file is named with where it was expected', async () => {
  const folder = write(temporaryFolder(), MNIST_NAMES)
  fs.rmSync(join(folder, 't10k-labels-idx1-ubyte'))
  assert.is(
    await rejection(openDataset(`idx:${folder}`)),
    `${folder} has no test labels: expected a file t10k-labels-idx1-ubyte[.gz] in ${folder}`,
  )
  assert.is(
    await rejection(openDataset(`idx:${folder}/emnist`)),
    `${folder}/emnist has no train images: ` +
      `expected a file emnist-train-images-idx3-ubyte[.gz] in ${folder}`,
  )
  const absent = join(folder, 'no', 'where')
  assert.is(
    await rejection(openDataset(`idx:${absent}`)),
    `${join(folder, 'no')} cannot be read: it does not exist`,
  )
})

test('labels out of range name the file and the index', async () => {
  const folder = write(temporaryFolder(), {
    ...MNIST_NAMES,
    't10k-labels-idx1-ubyte': encodeIdx([1], Uint8Array.of(7)),
  })
  assert.is(
    await rejection(openDataset(`idx:${folder}`)),
    `${join(folder, 't10k-labels-idx1-ubyte')} has label 7 at index 0, expected 0 to 2 (3 classes)`,
  )
})

test('test images of another size are refused', async () => {
  const folder = write(temporaryFolder(), {
    ...MNIST_NAMES,
    't10k-images-idx3-ubyte': encodeIdx([1, 2, 1], Uint8Array.of(1, 2)),
  })
  assert.is(
    await rejection(openDataset(`idx:${folder}`)),
    `${join(folder, 't10k-images-idx3-ubyte')} holds images of 2 x 1, ` +
      `expected 2 x 2 as in ${join(folder, 'train-images-idx3-ubyte')}`,
  )
})

test('a malformed file is named', async () => {
  const folder = write(temporaryFolder(), {
    ...MNIST_NAMES,
    'train-images-idx3-ubyte': TRAIN.subarray(0, 20),
  })
  assert.match(
    await rejection(openDataset(`idx:${folder}`)),
    `${join(folder, 'train-images-idx3-ubyte')} is truncated`,
  )
})

test('unknown names and formats list the known ones', async () => {
  assert.equal(datasetSpecs, [
    'fashion-mnist',
    'mnist',
    'emoji',
    'emoji-kinds',
    'playing-cards',
    'clip-art',
    'idx:PATH',
    'cifar10:PATH',
    'cifar100:PATH',
  ])
  for (const spec of ['imagenet', 'zip:/data', 'toString', 'constructor:x', '']) {
    assert.is(
      await rejection(openDataset(spec)),
      `data set '${spec}' is unknown, expected ${datasetSpecs.join(' or ')}`,
    )
  }
  assert.is(
    await rejection(openDataset('idx:')),
    "data set 'idx:' names no path, expected idx:PATH",
  )
  assert.is(
    await rejection(openDataset('idx:a', { size: 'full' })),
    "size is given with data set 'idx:a', expected only with a named one",
  )
})

test.run()
