import fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { LoadedImage } from '../../src/data/imageSource.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'

const FOLDER = join(packageRoot(), 'test/fixtures/augment')

/** An entry of results.json; reference/makeAugmentFixtures.py says what each holds. */
export interface AugmentFixture {
  kind: 'resize' | 'evaluation' | 'step' | 'policy'
  seed: number
  /** Of the picture. */
  size: [number, number]
  /** Of the result. */
  height: number
  width: number
  /** The result: u8 [height, width, 3]. */
  pixels: Uint8Array
  box: [number, number, number, number]
  filter: 'bilinear' | 'bicubic'
  antialias: 'pil' | 'tensor' | 'none'
  flip: boolean
  resize: number
  op: string
  magnitude: number | null
  sign: number
  policy: number
}

const results = gunzipSync(fs.readFileSync(join(FOLDER, 'results.bin.gz')))

export const augmentFixtures: AugmentFixture[] = JSON.parse(
  fs.readFileSync(join(FOLDER, 'results.json'), 'utf8'),
).map((entry: AugmentFixture & { offset: number }) => ({
  ...entry,
  pixels: results.subarray(entry.offset, entry.offset + 3 * entry.height * entry.width),
}))

/** Counts of torchvision's boxes over 20 equal bins, from 100,000 draws. */
export const torchvisionCrops: { size: [number, number]; area: number[]; logAspect: number[] }[] =
  JSON.parse(fs.readFileSync(join(FOLDER, 'crops.json'), 'utf8'))

/** floor(256 u) of the hash in reference/README.md. */
function hashByte(i: number, seed: number): number {
  let u = (Math.imul(i, 2654435761) + Math.imul(seed, 40503) + 12345) >>> 0
  u = Math.imul(u ^ (u >>> 15), 2246822519) >>> 0
  u = Math.imul(u ^ (u >>> 13), 3266489917) >>> 0
  return (u ^ (u >>> 16)) >>> 24
}

/** `picture` of reference/makeAugmentFixtures.py. */
export function picture(height: number, width: number, seed: number): LoadedImage {
  const data = new Uint8Array(height * width * 3)
  for (let i = 0; i < data.length; i++) {
    const c = i % 3
    const x = Math.floor(i / 3) % width
    const y = Math.floor(i / 3 / width)
    const noise = hashByte(i, seed)
    const steps = Math.floor((180 * y) / height) + 60 * c + Math.floor((120 * x) / width)
    const smooth = 40 + (steps % 190) + Math.floor(noise / 8) - 16
    const rough = y * 3 < height && x * 2 > width
    data[i] = rough ? noise : Math.min(255, Math.max(0, smooth))
  }
  return { data, height, width, channels: 3 }
}
