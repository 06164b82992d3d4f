import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openImageDataset } from '../../src/data/registry.ts'
import { type NamedTensor, writeSafetensors } from '../../src/data/safetensors.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

async function store(tensors: Record<string, NamedTensor>): Promise<string> {
  const path = join(temporaryFolder(), 'a.safetensors')
  await writeSafetensors(path, new Map(Object.entries(tensors)))
  return path
}

const LABELS = { shape: [2], data: BigInt64Array.of(0n, 4n) }

test('u8 images have statistics, f32 ones are taken as they are', async () => {
  const u8 = { shape: [2, 1, 2, 1], data: Uint8Array.of(0, 255, 0, 255) }
  const bytes = await openImageDataset(`safetensors:${await store({ images: u8, labels: LABELS })}`)
  assert.equal(bytes.statistics, { mean: [0.5], std: [0.5] })
  assert.equal([bytes.classes, bytes.channels, bytes.size], [5, 1, { height: 1, width: 2 }])
  assert.equal([...bytes.train.labels], [0, 4])
  assert.is(bytes.test, undefined)

  const f32 = { shape: [2, 1, 1, 3], data: Float32Array.of(-1, 0, 1, 2, 3, 4) }
  const labels = { shape: [2], data: Int32Array.of(1, 0) }
  const floats = await openImageDataset(`safetensors:${await store({ images: f32, labels })}`)
  assert.is(floats.statistics, undefined)
  assert.equal((await floats.train.load(1)).data, Float32Array.of(2, 3, 4))
})

/** A .npy file of version 1.0 in C order. */
function npy(descr: string, shape: string, data: Uint8Array | Float32Array | BigInt64Array) {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`
  const header = text.padEnd(118 - 1).concat('\n')
  const prefix = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0)
  return Buffer.concat([
    prefix,
    Buffer.from(header),
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ])
}

test('npy: a folder with images.npy and labels.npy', async () => {
  const folder = temporaryFolder()
  fs.writeFileSync(
    join(folder, 'images.npy'),
    npy('|u1', '2, 1, 1, 3', Uint8Array.of(1, 2, 3, 4, 5, 6)),
  )
  assert.match(
    await rejection(openImageDataset(`npy:${folder}`)),
    /labels\.npy cannot be read: it does not exist$/,
  )
  fs.writeFileSync(join(folder, 'labels.npy'), npy('<i8', '2,', BigInt64Array.of(3n, 0n)))
  const data = await openImageDataset(`npy:${folder}`)
  assert.equal([data.classes, data.channels, data.size], [4, 3, { height: 1, width: 1 }])
  assert.equal([...data.train.labels], [3, 0])
  assert.equal([...(await data.train.load(1)).data], [4, 5, 6])
})

test('errors name the file and the tensor', async () => {
  const images = { shape: [2, 1, 1, 1], data: Uint8Array.of(0, 1) }
  const cases: [Record<string, NamedTensor>, RegExp][] = [
    [{ images }, /a\.safetensors has no tensor 'labels', only images$/],
    [
      { images: { shape: [2, 1], data: Uint8Array.of(0, 1) }, labels: LABELS },
      /: images are Uint8Array \[2, 1\], expected u8 or f32 \[N, H, W, C\]$/,
    ],
    [
      { images: { shape: [2, 1, 1, 1], data: Int32Array.of(0, 1) }, labels: LABELS },
      /: images are Int32Array \[2, 1, 1, 1\], expected u8 or f32/,
    ],
    [
      { images: { shape: [1, 1, 1, 2], data: Uint8Array.of(0, 1) }, labels: LABELS },
      /: images are .*, expected at least one, with 1 or 3 channels$/,
    ],
    [
      { images, labels: { shape: [3], data: Int32Array.of(0, 1, 2) } },
      /: labels are Int32Array \[3\], expected \[2\], as many as the images$/,
    ],
    [
      { images, labels: { shape: [2], data: Int32Array.of(0, -1) } },
      /: label -1 at index 1, expected 0 to 2\^31 - 1$/,
    ],
    [
      { images, labels: { shape: [2], data: Float32Array.of(0, 1) } },
      /: labels are Float32Array \[2\], expected whole numbers$/,
    ],
  ]
  for (const [tensors, message] of cases) {
    const spec = `safetensors:${await store(tensors)}`
    assert.match(await rejection(openImageDataset(spec)), message)
  }
})

test.run()
