import type { LoadedImage } from '../imageSource.ts'
import type { Box } from './box.ts'

/**
 * Copies a box of an image as words, a pixel each: red in the lowest byte, then green and blue. A
 * grey image is repeated to all three.
 *
 * @param words u32, with room for the box from `at` on.
 * @returns the place after the last word.
 * @throws RangeError when the image is f32 or the box is empty or not inside it.
 */
export function packBox(image: LoadedImage, box: Box, words: Uint32Array, at: number): number {
  const { data, height, width, channels } = image
  const { top, left } = box
  const inside = top >= 0 && left >= 0 && top + box.height <= height && left + box.width <= width
  if (!inside || box.height < 1 || box.width < 1) {
    throw new RangeError(
      `a box of ${box.height} x ${box.width} at (${top}, ${left}) is not inside an image of ` +
        `${height} x ${width}`,
    )
  }
  if (!(data instanceof Uint8Array)) {
    throw new RangeError('an image is f32, expected u8: f32 images are taken as they are')
  }
  const byWords = channels === 3 && data.byteOffset % 4 === 0
  const fours = byWords
    ? new Uint32Array(data.buffer, data.byteOffset, data.length >> 2)
    : undefined
  let to = at
  for (let row = top; row < top + box.height; row++) {
    const first = row * width + left
    const end = first + box.width
    if (channels === 1) {
      for (let p = first; p < end; p++) words[to++] = data[p]! * 0x010101
      continue
    }
    let p = first
    if (fours) {
      for (; p % 4 !== 0 && p < end; p++) words[to++] = colourAt(data, 3 * p)
      to = unpackFours(fours, p / 4, Math.floor((end - p) / 4), words, to)
      p = end - ((end - p) % 4)
    }
    for (; p < end; p++) words[to++] = colourAt(data, channels * p)
  }
  return to
}

function colourAt(data: Uint8Array, i: number): number {
  return data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16)
}

/** Four pixels of three bytes each are three words; byte by byte takes twice the time. */
function unpackFours(
  fours: Uint32Array,
  first: number,
  count: number,
  words: Uint32Array,
  at: number,
): number {
  let to = at
  for (let i = 3 * first; i < 3 * (first + count); i += 3) {
    const a = fours[i]!
    const b = fours[i + 1]!
    const c = fours[i + 2]!
    words[to] = a & 0xffffff
    words[to + 1] = (a >>> 24) | ((b & 0xffff) << 8)
    words[to + 2] = (b >>> 16) | ((c & 0xff) << 16)
    words[to + 3] = c >>> 8
    to += 4
  }
  return to
}
