import fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeIdx, readIdxImages, readIdxLabels, readIdxPair } from '../../src/data/idx.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const folder = temporaryFolder()
const pixels = Uint8Array.from({ length: 24 }, (_, i) => 10 * i)
const imageBytes = encodeIdx([2, 3, 4], pixels)
const labelBytes = encodeIdx([2], Uint8Array.of(1, 0))

let written = 0
function write(bytes: Uint8Array, name = `${written++}.bin`): string {
  const file = join(folder, name)
  fs.writeFileSync(file, bytes)
  return file
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

test('encodes big-endian headers', () => {
  assert.equal([...imageBytes.subarray(0, 16)], [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4])
  assert.equal([...labelBytes], [0, 0, 8, 1, 0, 0, 0, 2, 1, 0])
  assert.throws(() => encodeIdx([2, 3], pixels), /^data has 24 bytes, expected 2 x 3 = 6$/)
})

test('reads plain and gzip files by what they hold, whatever their name', async () => {
  for (const file of [write(imageBytes, 'plain.gz'), write(gzipSync(imageBytes), 'packed')]) {
    const images = await readIdxImages(file)
    assert.is(images.count, 2)
    assert.is(images.height, 3)
    assert.is(images.width, 4)
    assert.equal([...images.pixels], [...pixels])
  }
  assert.equal([...(await readIdxLabels(write(gzipSync(labelBytes))))], [1, 0])
})

test('reads several gzip members and trailing zeros, as gzip does', async () => {
  const parts = [imageBytes.subarray(0, 20), imageBytes.subarray(20)].map((part) => gzipSync(part))
  const file = write(concat(...parts, new Uint8Array(512)))
  assert.equal([...(await readIdxImages(file)).pixels], [...pixels])
})

test('wrong magic numbers: what came, what was expected', async () => {
  const labels = write(labelBytes)
  assert.is(
    await rejection(readIdxImages(labels)),
    `${labels} begins with magic number 0x00000801 (unsigned bytes, 1 dimension), ` +
      'expected magic number 0x00000803 (unsigned bytes, 3 dimensions)',
  )
  const images = write(gzipSync(imageBytes))
  assert.is(
    await rejection(readIdxLabels(images)),
    `${images} begins with magic number 0x00000803 (unsigned bytes, 3 dimensions) ` +
      'after decompression, expected magic number 0x00000801 (unsigned bytes, 1 dimension)',
  )
  const floats = write(concat(Uint8Array.of(0, 0, 13, 3), new Uint8Array(28)))
  assert.match(await rejection(readIdxImages(floats)), '(32-bit floats, 3 dimensions)')
  const png = write(Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a))
  assert.match(await rejection(readIdxImages(png)), 'magic number 0x89504e47 (not IDX)')
})

test('truncation in the header and in the data', async () => {
  const empty = write(new Uint8Array(0))
  assert.is(await rejection(readIdxImages(empty)), `${empty} is empty, expected an IDX file`)
  for (const length of [1, 3, 4, 15]) {
    const file = write(imageBytes.subarray(0, length))
    assert.is(
      await rejection(readIdxImages(file)),
      `${file} is truncated: ${length} bytes, expected a header of 16`,
    )
  }
  const file = write(imageBytes.subarray(0, 39))
  assert.is(
    await rejection(readIdxImages(file)),
    `${file} is truncated: 23 bytes of data, expected 2 x 3 x 4 = 24 by its header`,
  )
  const labels = write(gzipSync(labelBytes.subarray(0, 9)))
  assert.is(
    await rejection(readIdxLabels(labels)),
    `${labels} is truncated: 1 bytes of data after decompression, expected 2 by its header`,
  )
})

test('bytes past the end', async () => {
  const file = write(concat(imageBytes, Uint8Array.of(7)))
  assert.is(
    await rejection(readIdxImages(file)),
    `${file} has bytes past its end: 25 bytes of data, expected 2 x 3 x 4 = 24 by its header`,
  )
})

test('a header that promises more than memory holds reads as truncation', async () => {
  const file = write(concat(Uint8Array.of(0, 0, 8, 3), new Uint8Array(12).fill(255)))
  assert.match(await rejection(readIdxImages(file)), `${file} is truncated: 0 bytes of data`)
})

test('gzip damage', async () => {
  const packed = gzipSync(imageBytes)
  const cut = write(packed.subarray(0, packed.length - 9))
  assert.is(await rejection(readIdxImages(cut)), `${cut} has damaged gzip data: it is truncated`)
  const stub = write(packed.subarray(0, 2))
  assert.is(await rejection(readIdxImages(stub)), `${stub} has damaged gzip data: it is truncated`)
  const flipped = Buffer.from(packed)
  flipped[packed.length - 6]! ^= 1
  const checksum = write(flipped)
  assert.is(
    await rejection(readIdxImages(checksum)),
    `${checksum} has damaged gzip data: incorrect data check`,
  )
  const garbage = write(concat(packed, Buffer.from('and more')))
  assert.match(await rejection(readIdxImages(garbage)), `${garbage} has damaged gzip data: `)
})

test('no items, no pixels', async () => {
  const none = write(encodeIdx([0, 28, 28], new Uint8Array(0)))
  assert.is(
    await rejection(readIdxImages(none)),
    `${none} holds no images: its header says 0 x 28 x 28`,
  )
  const flat = write(encodeIdx([5, 0, 28], new Uint8Array(0)))
  assert.match(await rejection(readIdxImages(flat)), `${flat} holds no images`)
  const labels = write(encodeIdx([0], new Uint8Array(0)))
  assert.is(await rejection(readIdxLabels(labels)), `${labels} holds no labels: its header says 0`)
})

test('missing files and folders', async () => {
  const missing = join(folder, 'missing')
  assert.is(await rejection(readIdxImages(missing)), `${missing} cannot be read: it does not exist`)
  assert.match(await rejection(readIdxLabels(folder)), `${folder} cannot be read: it is a folder`)
})

test('counts of images and labels must agree', async () => {
  const images = write(imageBytes)
  const pair = await readIdxPair(images, write(labelBytes))
  assert.is(pair.images.count, pair.labels.length)
  const labels = write(encodeIdx([3], Uint8Array.of(0, 1, 2)))
  assert.is(
    await rejection(readIdxPair(images, labels)),
    `${images} holds 2 images, but ${labels} holds 3 labels`,
  )
})

test.run()
