import { Augmenter } from '../data/augment/augmenter.ts'
import { centredPlan } from '../data/augment/evaluationPlan.ts'
import type { ImagePlan } from '../data/augment/imagePlan.ts'
import type { Mixing } from '../data/augment/mixup.ts'
import type { PolicyStep } from '../data/augment/policy.ts'
import type { Resampling } from '../data/augment/resampling.ts'
import type { LoadedImage } from '../data/imageSource.ts'
import type { Gpu } from '../gpu/gpu.ts'
import {
  contrastReference,
  equalizeReference,
  type Levels,
  mapLevels,
  resizeReference,
  sharpnessReference,
  shearReference,
} from './reference/augmentation.ts'
import { hashBits, relativeError } from './reference/compare.ts'

/**
 * Images are bytes after each pass. About one sum in a hundred lies so near to half a level that f32
 * rounds it the other way: 1.5e-3 in all on a software driver. Rounding down in one pass gives 1.4e-2.
 */
export const AUGMENTATION_TOLERANCE = 4e-3

const MEAN = [0.5, 0.4, 0.3]
const STD = [0.2, 0.25, 0.3]

/** An image, how it is augmented, and the levels that should come out. */
interface Case {
  readonly image: LoadedImage
  readonly plan: ImagePlan
  readonly expected: Levels
}

/** The largest relative error of each family of augmentation kernels against float64. */
export async function testAugmentation(gpu: Gpu): Promise<Record<string, number>> {
  return {
    resize: await testResampling(gpu, [{ filter: 'bilinear' }, { filter: 'bicubic' }]),
    sample: await testResampling(gpu, [
      { filter: 'bilinear', antialias: false },
      { filter: 'bicubic', antialias: false },
      { filter: 'bilinear', antialias: false, points: 'corner' },
      { filter: 'bicubic', antialias: false, points: 'corner' },
    ]),
    policy: await testPolicy(gpu),
    mixup: await testMixup(gpu),
  }
}

/** Images smaller and larger than the input, mirrored or not; widths with and without whole vectors. */
async function testResampling(gpu: Gpu, ways: readonly Resampling[]): Promise<number> {
  let worst = 0
  for (const resampling of ways)
    for (const width of [28, 23]) {
      const size = { height: 17, width }
      const cases = [noise(37, 61, 1), noise(11, 13, 2)].map((image, i) => {
        const resized = resizeReference(image, size, resampling)
        const flip = i === 0
        return {
          image,
          plan: { ...centredPlan(image, size), resized: size, first: { y: 0, x: 0 }, flip },
          expected: flip ? mirrored(resized) : resized,
        }
      })
      worst = Math.max(worst, await errorOf(gpu, cases, resampling))
    }
  return worst
}

async function testPolicy(gpu: Gpu): Promise<number> {
  const image = noise(24, 32, 3)
  const plan = centredPlan(image, image)
  const steps: [PolicyStep, Levels][] = [
    [{ op: 'invert' }, mapLevels(image, (level) => 255 - level)],
    [{ op: 'equalize' }, equalizeReference(image)],
    [{ op: 'contrast', factor: 1.75 }, contrastReference(image, 1.75)],
    [{ op: 'sharpness', factor: 0.25 }, sharpnessReference(image, 0.25)],
    [{ op: 'shearX', slope: 0.25 }, shearReference(image, 0.25)],
  ]
  return errorOf(
    gpu,
    steps.map(([step, expected]) => ({ image, plan: { ...plan, policy: [step] }, expected })),
  )
}

/** Three images, each mixed with its neighbour. */
async function testMixup(gpu: Gpu): Promise<number> {
  const images = [4, 5, 6].map((seed) => noise(5, 7, seed))
  const mixing = { lambda: 0.3, partners: Uint32Array.of(2, 0, 1) }
  const cases = images.map((image, i) => {
    const partner = images[mixing.partners[i]!]!
    const data = Float64Array.from(image.data, (v, k) => 0.3 * v + 0.7 * partner.data[k]!)
    return { image, plan: centredPlan(image, image), expected: { ...image, data } }
  })
  return errorOf(gpu, cases, undefined, mixing)
}

async function errorOf(
  gpu: Gpu,
  cases: readonly Case[],
  resampling?: Resampling,
  mixing?: Mixing,
): Promise<number> {
  const { height, width } = cases[0]!.expected
  const options = { height, width, mean: MEAN, std: STD, ...(resampling && { resampling }) }
  const augmenter = new Augmenter(gpu, options)
  const out = gpu.empty('f32', [cases.length, height, width, 3])
  try {
    const images = cases.map(({ image }) => image)
    const plans = cases.map(({ plan }) => plan)
    await augmenter.run(images, plans, out, mixing)
    const levels = cases.flatMap(({ expected }) => Array.from(expected.data))
    const expected = levels.map((level, i) => (level / 255 - MEAN[i % 3]!) / STD[i % 3]!)
    return relativeError(await gpu.read(out), expected)
  } finally {
    out.release()
    augmenter.release()
  }
}

function noise(height: number, width: number, seed: number): LoadedImage {
  const data = Uint8Array.from({ length: height * width * 3 }, (_, i) => hashBits(i, seed) >>> 24)
  return { data, height, width, channels: 3 }
}

function mirrored(image: Levels): Levels {
  return mapLevels(image, (_level, y, x, c) => {
    return image.data[(y * image.width + image.width - 1 - x) * 3 + c]!
  })
}
