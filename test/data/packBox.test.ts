import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Box } from '../../src/data/augment/box.ts'
import { packBox } from '../../src/data/augment/packBox.ts'
import { picture } from './augmentFixtures.ts'

/** A pixel a word, by its definition. */
function expectedWords(data: Uint8Array, width: number, channels: number, box: Box): number[] {
  const words: number[] = []
  for (let y = box.top; y < box.top + box.height; y++) {
    for (let x = box.left; x < box.left + box.width; x++) {
      const at = channels * (y * width + x)
      const [r, g, b] = channels === 1 ? Array(3).fill(data[at]!) : data.subarray(at)
      words.push(r + 256 * g + 65536 * b)
    }
  }
  return words
}

test('every box, of images that begin at any byte', () => {
  const [height, width] = [3, 11]
  const { data } = picture(height, width + 4, 7)
  for (const channels of [1, 3, 4])
    for (const start of [0, 1, 2, 4]) {
      const bytes = new Uint8Array(start + height * width * channels)
      bytes.set(data.subarray(0, height * width * channels), start)
      const image = { data: bytes.subarray(start), height, width, channels }
      for (let left = 0; left < width; left++)
        for (let columns = 1; columns <= width - left; columns++) {
          const box = { top: 1, left, height: 2, width: columns }
          const words = new Uint32Array(2 * columns + 2)
          const end = packBox(image, box, words, 1)
          assert.is(end, 2 * columns + 1)
          const expected = expectedWords(image.data, width, channels, box)
          assert.equal(
            [...words],
            [0, ...expected, 0],
            `${channels}, ${start}, ${left}, ${columns}`,
          )
        }
    }
})

test.run()
