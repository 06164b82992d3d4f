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
  let to = at
  for (let row = top; row < top + box.height; row++) {
    const start = (row * width + left) * channels
    const end = start + box.width * channels
    if (channels === 1) {
      for (let i = start; i < end; i++) words[to++] = data[i]! * 0x010101
    } else {
      for (let i = start; i < end; i += channels) {
        words[to++] = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16)
      }
    }
  }
  return to
}
