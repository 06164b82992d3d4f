import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { channelStatistics } from '../../src/data/channelStatistics.ts'
import { ImagePreparer } from '../../src/data/prepareImages.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'

function bytes(length: number, step: number): Uint8Array {
  const random = new RandomStream(1, streams.synthetic, step)
  return Uint8Array.from({ length }, (_, i) => random.integer(i, 256))
}

const GREY = { channels: 1, height: 28, width: 28, mean: [0.286], std: [0.353] }

test('28 x 28 grey becomes 32 x 32 x 3: black border, then normalised, channels equal', () => {
  const preparer = new ImagePreparer(GREY)
  assert.equal([preparer.height, preparer.width, preparer.channels], [32, 32, 3])
  assert.is(preparer.length(2), 2 * 32 * 32 * 3)
  const images = bytes(3 * 784, 0)
  const indexes = Uint32Array.of(2, 0)
  const out = preparer.prepare(images, indexes)
  assert.is(out.length, preparer.length(2))
  for (let b = 0; b < 2; b++) {
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 32; x++) {
        const inside = y >= 2 && y < 30 && x >= 2 && x < 30
        const value = inside ? images[indexes[b]! * 784 + (y - 2) * 28 + (x - 2)]! : 0
        const expected = Math.fround((value / 255 - 0.286) / 0.353)
        for (let c = 0; c < 3; c++) {
          assert.is(out[((b * 32 + y) * 32 + x) * 3 + c], expected)
        }
      }
    }
  }
})

test('writes every value of the given array and nothing behind', () => {
  const preparer = new ImagePreparer(GREY)
  const images = bytes(784, 1)
  const out = new Float32Array(preparer.length(1) + 2).fill(Number.NaN)
  assert.is(preparer.prepare(images, Uint32Array.of(0), out), out)
  assert.ok(out.subarray(0, preparer.length(1)).every(Number.isFinite))
  assert.ok(out.subarray(preparer.length(1)).every(Number.isNaN))
})

test('colour: a table a channel, odd padding to the bottom and right', () => {
  const dataset = { channels: 2, height: 2, width: 1, mean: [0.1, 0.4], std: [0.5, 2] }
  const preparer = new ImagePreparer(dataset, { height: 3, width: 4, channels: 2 })
  const images = Uint8Array.of(0, 51, 255, 102)
  const out = preparer.prepare(images, Uint32Array.of(0))
  const first = (v: number) => Math.fround((v / 255 - 0.1) / 0.5)
  const second = (v: number) => Math.fround((v / 255 - 0.4) / 2)
  const black = [first(0), second(0)]
  const row = (a: number, b: number) => [...black, first(a), second(b), ...black, ...black]
  assert.equal([...out], [...row(0, 51), ...row(255, 102), ...row(0, 0)])
})

test('no padding where the sizes agree; grey stays grey on request', () => {
  const shape = { height: 28, width: 28, channels: 1 }
  const images = bytes(784, 2)
  const out = new ImagePreparer(GREY, shape).prepare(images, Uint32Array.of(0))
  assert.equal(
    [...out],
    [...images].map((value) => Math.fround((value / 255 - 0.286) / 0.353)),
  )
})

test('an image of 32 or more keeps its size by default', () => {
  const preparer = new ImagePreparer({ ...GREY, height: 40, width: 8 })
  assert.equal([preparer.height, preparer.width], [40, 32])
})

test('shapes that do not fit are refused', () => {
  assert.throws(
    () => new ImagePreparer(GREY, { height: 27 }),
    'height is 27, expected an integer from 28, that of the images',
  )
  assert.throws(() => new ImagePreparer(GREY, { width: 32.5 }), /^width is 32.5, expected/)
  assert.throws(
    () => new ImagePreparer(GREY, { channels: 0 }),
    'channels is 0, expected an integer from 1',
  )
  const colour = { ...GREY, channels: 3, mean: [0, 0, 0], std: [1, 1, 1] }
  assert.throws(
    () => new ImagePreparer(colour, { channels: 1 }),
    'channels is 1, expected 3, that of the images',
  )
  assert.throws(
    () => new ImagePreparer({ ...colour, std: [1, 0, 1] }),
    'channel 1 has mean 0 and std 0, expected a finite mean and a positive std',
  )
  assert.throws(() => new ImagePreparer({ ...GREY, mean: [] }), /^channel 0 has mean undefined/)
})

test('indexes past the images and short outputs are refused', () => {
  const preparer = new ImagePreparer(GREY)
  const images = bytes(784, 3)
  assert.throws(
    () => preparer.prepare(images, Uint32Array.of(0, 1)),
    'index 1 at place 1 of the batch, expected below 1',
  )
  assert.throws(
    () => preparer.prepare(images, Uint32Array.of(0), new Float32Array(10)),
    'out has 10 values, expected 3072 for 1 images',
  )
})

test('statistics: exact on a hand-made case, and normalising by them gives 0 and 1', () => {
  assert.equal(channelStatistics(Uint8Array.of(0, 255, 0, 255), 1), { mean: [0.5], std: [0.5] })
  assert.equal(channelStatistics(Uint8Array.of(0, 7, 255, 7), 2), {
    mean: [0.5, 7 / 255],
    std: [0.5, 0],
  })
  const images = bytes(50 * 784, 4)
  const dataset = { channels: 1, height: 28, width: 28, ...channelStatistics(images, 1) }
  const preparer = new ImagePreparer(dataset, { height: 28, width: 28, channels: 1 })
  const out = preparer.prepare(
    images,
    Uint32Array.from({ length: 50 }, (_, i) => i),
  )
  const mean = out.reduce((sum, value) => sum + value, 0) / out.length
  const square = out.reduce((sum, value) => sum + value * value, 0) / out.length
  // f32 rounding of each value: 6e-8 relative, of random sign.
  assert.ok(Math.abs(mean) < 1e-7)
  assert.ok(Math.abs(square - 1) < 1e-7)
})

test('statistics: no cancellation with a large mean and a small spread', () => {
  // A million pixels at 254, one at 255: variance (1/n)(1 - 1/n) / 255^2.
  const images = new Uint8Array(1_000_001).fill(254)
  images[500] = 255
  const n = images.length
  const { std } = channelStatistics(images, 1)
  const expected = Math.sqrt((1 / n) * (1 - 1 / n)) / 255
  // A few roundings of float64.
  assert.ok(Math.abs(std[0]! / expected - 1) < 1e-15)
  assert.is(channelStatistics(new Uint8Array(1000).fill(201), 1).std[0], 0)
})

test('statistics: empty input and stray bytes are refused', () => {
  assert.throws(
    () => channelStatistics(new Uint8Array(0), 1),
    'images has 0 bytes, expected a positive multiple of 1 channels',
  )
  assert.throws(() => channelStatistics(new Uint8Array(4), 3), /^images has 4 bytes, expected/)
})

test.run()
