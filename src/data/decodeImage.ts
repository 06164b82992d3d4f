import { extname } from 'node:path'
import sharp from 'sharp'
import { readFileBytes } from './files.ts'
import { type ImageHeader, readImageHeader } from './imageHeader.ts'
import { BadImageError, type LoadedImage } from './imageSource.ts'

// libvips would spread one image over all cores; here each core has an image of its own.
sharp.concurrency(1)
// Every file of a pass is another one: a cache would only hold memory.
sharp.cache(false)

/** Endings of the files that folders are searched for, with the format that each promises. */
const FORMATS: Readonly<Record<string, string>> = {
  '.avif': 'heif',
  '.gif': 'gif',
  '.jpe': 'jpeg',
  '.jpeg': 'jpeg',
  '.jpg': 'jpeg',
  '.png': 'png',
  '.tif': 'tiff',
  '.tiff': 'tiff',
  '.webp': 'webp',
}

/** Whether a file's ending is that of an image format that can be decoded. */
export function isImageName(name: string): boolean {
  return Object.hasOwn(FORMATS, extname(name).toLowerCase())
}

export interface DecodeOptions {
  /**
   * true: turn and mirror the image as its EXIF orientation says. Default false, as torchvision's
   * ImageFolder, which ignores it.
   */
  readonly exifOrientation?: boolean
  /**
   * Largest number of pixels, H x W, known from the header before anything is decoded. Default
   * 33,554,432: what one WebGPU storage binding of 128 MiB holds.
   */
  readonly maxPixels?: number
  /**
   * `refuse` (default): a file whose contents are of another format than its ending says is bad.
   * `decode`: the contents count alone.
   */
  readonly mislabelled?: 'refuse' | 'decode'
}

const DEFAULT_MAX_PIXELS = 2 ** 25

/**
 * Decodes an image file to u8 [H, W, 3].
 *
 * As PIL's convert('RGB') (Pillow 9.4), which torchvision uses: embedded colour profiles are not
 * applied, alpha is dropped without blending, CMYK is converted as (255 - C)(255 - K) / 255, the
 * first frame of an animation counts. 16-bit samples keep their high byte (PIL clips 16-bit grey
 * to 255 instead). A file that ends early is bad.
 *
 * @throws BadImageError naming the file and the reason.
 */
export async function decodeImage(path: string, options: DecodeOptions = {}): Promise<LoadedImage> {
  let bytes: Uint8Array
  try {
    bytes = await readFileBytes(path)
  } catch (error) {
    throw new BadImageError(path, (error as Error).message.slice(path.length + 1), { cause: error })
  }
  if (bytes.length === 0) throw new BadImageError(path, 'is empty, expected an image')
  const header = await readHeader(path, bytes)
  checkHeader(path, header, options)
  try {
    return await decodePixels(bytes, header, options)
  } catch (error) {
    throw new BadImageError(path, `can't be decoded: ${firstLine(error)}`, { cause: error })
  }
}

const INPUT = { failOn: 'error', ignoreIcc: true, limitInputPixels: false } as const

type Header = Omit<ImageHeader, 'format'> & { readonly format: string }

async function readHeader(path: string, bytes: Uint8Array): Promise<Header> {
  const header = readImageHeader(bytes)
  if (header) return header
  try {
    const { format, height, width, space } = await sharp(bytes, INPUT).metadata()
    return { format, height, width, isCmyk: space === 'cmyk' }
  } catch (error) {
    throw new BadImageError(path, `is no image: ${firstLine(error)}`, { cause: error })
  }
}

function checkHeader(path: string, header: Header, options: DecodeOptions): void {
  const { maxPixels = DEFAULT_MAX_PIXELS, mislabelled = 'refuse' } = options
  const { width, height, format } = header
  const promised = FORMATS[extname(path).toLowerCase()]
  if (promised !== format && (mislabelled === 'refuse' || format === 'svg')) {
    const expected = promised ?? `one of ${[...new Set(Object.values(FORMATS))].join(', ')}`
    throw new BadImageError(path, `holds a file of format ${format}, expected ${expected}`)
  }
  if (width * height > maxPixels) {
    throw new BadImageError(
      path,
      `has ${width} x ${height} pixels, expected at most ${maxPixels} in all`,
    )
  }
}

async function decodePixels(
  bytes: Uint8Array,
  { isCmyk }: Header,
  { exifOrientation = false }: DecodeOptions,
): Promise<LoadedImage> {
  let pipeline = sharp(bytes, { ...INPUT, autoOrient: exifOrientation })
  if (isCmyk) pipeline = pipeline.pipelineColourspace('cmyk').toColourspace('cmyk')
  else pipeline = pipeline.removeAlpha().toColourspace('srgb')
  const { data, info } = await pipeline
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  const { height, width } = info
  if (isCmyk) return { data: rgbOfCmyk(data), height, width, channels: 3 }
  return { data, height, width, channels: info.channels }
}

/** PIL's conversion: each of R, G, B is (255 - K) - C (255 - K) / 255, rounded as there. */
function rgbOfCmyk(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3)
  for (let from = 0, to = 0; from < cmyk.length; from += 4, to += 3) {
    const light = 255 - cmyk[from + 3]!
    for (let c = 0; c < 3; c++) {
      const product = cmyk[from + c]! * light + 128
      rgb[to + c] = light - ((product + (product >> 8)) >> 8)
    }
  }
  return rgb
}

function firstLine(error: unknown): string {
  return (error as Error).message.split('\n')[0]!.replace(/^VipsJpeg: |^vipspng: /, '')
}
