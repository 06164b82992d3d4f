import sharp from 'sharp'

/** The most pixels of a source image: clip art holds one of 20,990 x 29,700. */
const MOST_PIXELS = 20_000_000

/** RGB bytes of an image on white, fitted into height x width; undefined where it can't be decoded. */
export async function rgbPixels(input, height, width) {
  try {
    return await sharp(input, { limitInputPixels: MOST_PIXELS })
      .flatten({ background: 'white' })
      .resize(width, height, { fit: 'contain', background: 'white' })
      .toColourspace('srgb')
      .removeAlpha()
      .raw()
      .toBuffer()
  } catch {
    return undefined
  }
}
