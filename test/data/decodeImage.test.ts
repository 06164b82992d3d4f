import fs from 'node:fs'
import { join } from 'node:path'
import { deflateSync, gunzipSync } from 'node:zlib'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeImage } from '../../src/data/decodeImage.ts'
import { BadImageError } from '../../src/data/imageSource.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const FIXTURES = join(packageRoot(), 'test/fixtures/images')

interface Expected {
  file: string
  exif: boolean
  height: number
  width: number
  offset: number
}

const expected: Expected[] = JSON.parse(fs.readFileSync(join(FIXTURES, 'decoded.json'), 'utf8'))
const pixels = gunzipSync(fs.readFileSync(join(FIXTURES, 'decoded.bin.gz')))

/** Mean and largest absolute difference of two byte arrays. */
function difference(a: ArrayLike<number>, b: ArrayLike<number>): { mean: number; max: number } {
  let sum = 0
  let max = 0
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i]! - b[i]!)
    sum += d
    max = Math.max(max, d)
  }
  return { mean: sum / a.length, max }
}

for (const { file, exif, height, width, offset } of expected)
  test(`${file} decodes to PIL's pixels${exif ? ', turned by EXIF' : ''}`, async () => {
    const image = await decodeImage(join(FIXTURES, file), { exifOrientation: exif })
    assert.equal([image.height, image.width, image.channels], [height, width, 3])
    const wanted = pixels.subarray(offset, offset + 3 * height * width)
    assert.is(image.data.length, wanted.length)
    // PNG is lossless. The two libjpegs agree to the bit today; another one may round its inverse
    // DCT and its colour conversion differently, by a level or two.
    const { mean, max } = difference(image.data, wanted)
    const isJpeg = !file.endsWith('.png')
    assert.ok(max <= (isJpeg ? 3 : 0) && mean <= 0.5, `mean ${mean}, max ${max}`)
  })

test('all eight EXIF orientations give one upright picture', async () => {
  const open = (n: number) =>
    decodeImage(join(FIXTURES, `imaging/orientation_${n}.jpg`), { exifOrientation: true })
  const upright = await open(1)
  for (let n = 2; n <= 8; n++) {
    const image = await open(n)
    assert.equal([image.height, image.width], [upright.height, upright.width])
    // Eight encodings of one picture: their losses differ.
    assert.ok(difference(image.data, upright.data).mean < 4, `orientation ${n}`)
  }
})

test('WebP and GIF decode; transparent pixels keep their colour', async () => {
  const folder = temporaryFolder()
  const data = Uint8Array.of(200, 10, 30, 0, 1, 2, 3, 255)
  const rgba = sharp(data, { raw: { width: 2, height: 1, channels: 4 } })
  await rgba.clone().webp({ lossless: true, exact: true }).toFile(join(folder, 'a.webp'))
  assert.equal([...(await decodeImage(join(folder, 'a.webp'))).data], [200, 10, 30, 1, 2, 3])
  await rgba.clone().removeAlpha().gif().toFile(join(folder, 'a.gif'))
  assert.equal([...(await decodeImage(join(folder, 'a.gif'))).data], [200, 10, 30, 1, 2, 3])
})

test('bad files are told by path and reason', async () => {
  const folder = temporaryFolder()
  const jpeg = fs.readFileSync(join(FIXTURES, 'go/video-001.jpeg'))
  const png = fs.readFileSync(join(FIXTURES, 'go/benchRGB-interlace.png'))
  const files: Record<string, [Uint8Array, RegExp]> = {
    'empty.jpg': [new Uint8Array(0), / is empty, expected an image$/],
    'half.jpg': [jpeg.subarray(0, jpeg.length / 2), / can't be decoded: premature end of JPEG/],
    'noEnd.jpg': [jpeg.subarray(0, -2), / can't be decoded: premature end of JPEG/],
    'head.jpg': [jpeg.subarray(0, 20), / is no image: /],
    'half.png': [png.subarray(0, png.length / 2), / can't be decoded: /],
    'text.jpg': [new TextEncoder().encode('<html>not found</html>'), / is no image: /],
    'png.jpg': [png, / holds a file of format png, expected jpeg$/],
    'jpeg.png': [jpeg, / holds a file of format jpeg, expected png$/],
    'vector.png': [
      new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      / holds a file of format svg, expected png$/,
    ],
  }
  for (const [name, [bytes, reason]] of Object.entries(files)) {
    const path = join(folder, name)
    fs.writeFileSync(path, bytes)
    const error = await decodeImage(path).then(
      () => undefined,
      (caught) => caught,
    )
    assert.instance(error, BadImageError, name)
    assert.is(error.path, path)
    assert.is(error.message, `${path} ${error.reason}`)
    assert.match(error.message, reason)
  }
  assert.match(
    await rejection(decodeImage(join(folder, 'absent.png'))),
    /absent\.png cannot be read: it does not exist$/,
  )
  assert.match(await rejection(decodeImage(folder)), /cannot be read: it is a folder/)
  for (const name of ['invalid-crc32.png', 'invalid-zlib.png']) {
    assert.match(await rejection(decodeImage(join(FIXTURES, 'go', name))), /can't be decoded/)
  }
})

test('contents decide over the name on request', async () => {
  const path = join(temporaryFolder(), 'png.JPG')
  fs.copyFileSync(join(FIXTURES, 'go/basn2c08.png'), path)
  const image = await decodeImage(path, { mislabelled: 'decode' })
  assert.equal([image.height, image.width], [32, 32])
})

test('an image of 20,000 x 30,000 pixels is refused by its header', async () => {
  const path = join(temporaryFolder(), 'huge.png')
  fs.writeFileSync(path, greyPng(20_000, 30_000))
  assert.is(
    await rejection(decodeImage(path)),
    `${path} has 20000 x 30000 pixels, expected at most 33554432 in all`,
  )
  const small = join(FIXTURES, 'go/basn2c08.png')
  assert.is(
    await rejection(decodeImage(small, { maxPixels: 1023 })),
    `${small} has 32 x 32 pixels, expected at most 1023 in all`,
  )
})

/** A valid PNG of one bit a pixel, all black. */
function greyPng(width: number, height: number): Uint8Array {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header[8] = 1
  const rows = deflateSync(new Uint8Array((1 + Math.ceil(width / 8)) * height), { level: 1 })
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', rows),
    chunk('IEND', new Uint8Array(0)),
  ])
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type), data])
  const whole = new Uint8Array(body.length + 8)
  const view = new DataView(whole.buffer)
  view.setUint32(0, data.length)
  whole.set(body, 4)
  view.setUint32(whole.length - 4, crc32(body))
  return whole
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

test.run()
