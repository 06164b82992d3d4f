import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDataset } from '../../src/data/registry.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const PIXELS = 3072

/** Records whose byte j of plane c is (label + j + 50 c) mod 251, after the label bytes. */
function records(labels: readonly (readonly number[])[]): Uint8Array {
  return Buffer.concat(
    labels.map((bytes) => {
      const at = bytes.at(-1)!
      const pixel = (_: unknown, i: number) => (at + (i % 1024) + 50 * Math.floor(i / 1024)) % 251
      return Uint8Array.from([...bytes, ...Array.from({ length: PIXELS }, pixel)])
    }),
  )
}

function cifar10(folder: string): string {
  fs.mkdirSync(folder, { recursive: true })
  for (let batch = 1; batch <= 5; batch++) {
    fs.writeFileSync(join(folder, `data_batch_${batch}.bin`), records([[batch], [9]]))
  }
  fs.writeFileSync(join(folder, 'test_batch.bin'), records([[0]]))
  return folder
}

test('CIFAR-10: five files in order, planes become pixels', async () => {
  const folder = cifar10(temporaryFolder())
  const data = await openDataset(`cifar10:${folder}`)
  assert.equal([data.classes, data.channels, data.height, data.width], [10, 3, 32, 32])
  assert.equal([...data.train.labels], [1, 9, 2, 9, 3, 9, 4, 9, 5, 9])
  assert.is(data.test.count, 1)
  assert.equal(data.classNames.slice(0, 2), ['0', '1'])
  const second = data.train.images.subarray(2 * PIXELS)
  for (const pixel of [0, 1, 31, 32, 1023]) {
    assert.equal(
      [...second.subarray(3 * pixel, 3 * pixel + 3)],
      [0, 1, 2].map((c) => (2 + pixel + 50 * c) % 251),
    )
  }
})

test('CIFAR-100: the second byte is the class; golden first record', async () => {
  const outer = temporaryFolder()
  const folder = join(outer, 'cifar-100-binary')
  fs.mkdirSync(folder)
  // The published archive's first training record: coarse 11 (large omnivores and herbivores),
  // fine 19 (cattle).
  fs.writeFileSync(join(folder, 'train.bin'), records([[11, 19]]))
  fs.writeFileSync(join(folder, 'test.bin'), records([[10, 49]]))
  const names = Array.from({ length: 100 }, (_, i) => `fine ${i}`)
  fs.writeFileSync(join(folder, 'fine_label_names.txt'), `${names.join('\n')}\n\n`)
  const data = await openDataset(`cifar100:${outer}`)
  assert.equal([...data.train.labels, ...data.test.labels], [19, 49])
  assert.equal(data.classNames, names)
  assert.equal([...data.train.images.subarray(0, 3)], [19, 69, 119], 'pixels begin at byte 2')
})

test('errors name the file', async () => {
  const folder = cifar10(temporaryFolder())
  const file = join(folder, 'data_batch_3.bin')
  const open = () => rejection(openDataset(`cifar10:${folder}`))
  fs.writeFileSync(file, new Uint8Array(3000))
  assert.is(
    await open(),
    `${file} has 3000 bytes, expected a positive multiple of 3073, the size of a record of CIFAR-10`,
  )
  fs.writeFileSync(file, records([[3], [10]]))
  assert.is(await open(), `${file} has label 10 at index 1, expected 0 to 9 (10 classes)`)
  fs.rmSync(file)
  assert.is(await open(), `${file} cannot be read: it does not exist`)
  cifar10(folder)
  fs.writeFileSync(join(folder, 'batches.meta.txt'), 'airplane\nbird\n')
  assert.match(await open(), /batches\.meta\.txt has 2 class names, expected 10$/)
})

test.run()
