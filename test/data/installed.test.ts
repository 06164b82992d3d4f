import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDataset } from '../../src/data/registry.ts'
import { type NamedTensor, writeSafetensors } from '../../src/data/safetensors.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const folder = temporaryFolder()
process.env.GRAMGRAD_DATA = folder

function tensors(testLabels: number[]): Map<string, NamedTensor> {
  const pixels = (count: number) => Uint8Array.from({ length: count * 12 }, (_, i) => i)
  return new Map<string, NamedTensor>([
    ['train_images', { shape: [3, 2, 2, 3], data: pixels(3) }],
    ['train_labels', { shape: [3], data: Int32Array.of(0, 1, 0) }],
    ['test_images', { shape: [2, 2, 2, 3], data: pixels(2) }],
    ['test_labels', { shape: [testLabels.length], data: Int32Array.from(testLabels) }],
  ])
}

const file = path.join(folder, 'mnist.safetensors')
const metadata = { classNames: '["zero","one"]' }

test('an installed data set opens by its name', async () => {
  await writeSafetensors(file, tensors([1, 1]), metadata)
  const { train, test: held, ...rest } = await openDataset('mnist')
  assert.equal(rest.classNames, ['zero', 'one'])
  assert.equal([rest.height, rest.width, rest.channels, rest.classes], [2, 2, 3, 2])
  assert.equal([train.count, held.count], [3, 2])
  assert.equal([...held.labels], [1, 1])
  assert.is(train.images[35], 35)
})

test('what is not installed, or is something else, is named with the reason', async () => {
  const missing = await rejection(openDataset('playing-cards'))
  assert.match(missing, /'playing-cards' is not installed in .*install.mjs playing-cards/)
  await writeSafetensors(file, tensors([1, 2]), metadata)
  assert.match(await rejection(openDataset('mnist')), /label 2 at index 1, expected 0 to 1/)
  await writeSafetensors(file, tensors([1]), metadata)
  assert.match(await rejection(openDataset('mnist')), /test_labels do not fit 2 images/)
  await writeSafetensors(file, tensors([1, 1]))
  assert.match(await rejection(openDataset('mnist')), /has not the images and class names/)
  fs.writeFileSync(file, 'not an array file')
  assert.match(await rejection(openDataset('mnist')), /mnist.safetensors/)
})

test.run()
