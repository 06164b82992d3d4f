import type { RandomStream } from '../../random/randomStream.ts'
import type { Size } from './box.ts'

/** One change of an image's colours or geometry, with its strength settled. */
export type PolicyStep =
  | { readonly op: 'posterize' /** Bits kept of each byte, 1 to 8. */; readonly bits: number }
  | { readonly op: 'solarize' /** Values from here on are inverted. */; readonly threshold: number }
  | { readonly op: 'invert' | 'autoContrast' | 'equalize' }
  /** Blends with the mean grey, the grey image or a blurred one; 1 changes nothing. */
  | { readonly op: 'contrast' | 'color' | 'sharpness'; readonly factor: number }
  | { readonly op: 'rotate' /** Counter-clockwise. */; readonly degrees: number }
  | { readonly op: 'shearX' /** Columns a row. */; readonly slope: number }

/** Words of the stream that one image's policy may use. */
export const POLICY_WORDS = 5

/** The most steps of one image. */
export const POLICY_STEPS = 2

type Name = PolicyStep['op']
/** Name, probability, magnitude 0 to 9. */
type Entry = readonly [Name, number, number?]

/**
 * The 25 sub-policies for ImageNet of E. D. Cubuk et al., "AutoAugment: Learning augmentation
 * strategies from data", CVPR 2019, table 9, as in torchvision's AutoAugmentPolicy.IMAGENET.
 */
export const IMAGENET_POLICY: readonly (readonly [Entry, Entry])[] = [
  [
    ['posterize', 0.4, 8],
    ['rotate', 0.6, 9],
  ],
  [
    ['solarize', 0.6, 5],
    ['autoContrast', 0.6],
  ],
  [
    ['equalize', 0.8],
    ['equalize', 0.6],
  ],
  [
    ['posterize', 0.6, 7],
    ['posterize', 0.6, 6],
  ],
  [
    ['equalize', 0.4],
    ['solarize', 0.2, 4],
  ],
  [
    ['equalize', 0.4],
    ['rotate', 0.8, 8],
  ],
  [
    ['solarize', 0.6, 3],
    ['equalize', 0.6],
  ],
  [
    ['posterize', 0.8, 5],
    ['equalize', 1],
  ],
  [
    ['rotate', 0.2, 3],
    ['solarize', 0.6, 8],
  ],
  [
    ['equalize', 0.6],
    ['posterize', 0.4, 6],
  ],
  [
    ['rotate', 0.8, 8],
    ['color', 0.4, 0],
  ],
  [
    ['rotate', 0.4, 9],
    ['equalize', 0.6],
  ],
  [
    ['equalize', 0],
    ['equalize', 0.8],
  ],
  [
    ['invert', 0.6],
    ['equalize', 1],
  ],
  [
    ['color', 0.6, 4],
    ['contrast', 1, 8],
  ],
  [
    ['rotate', 0.8, 8],
    ['color', 1, 2],
  ],
  [
    ['color', 0.8, 8],
    ['solarize', 0.8, 7],
  ],
  [
    ['sharpness', 0.4, 7],
    ['invert', 0.6],
  ],
  [
    ['shearX', 0.6, 5],
    ['equalize', 1],
  ],
  [
    ['color', 0.4, 0],
    ['equalize', 0.6],
  ],
  [
    ['equalize', 0.4],
    ['solarize', 0.2, 4],
  ],
  [
    ['solarize', 0.6, 5],
    ['autoContrast', 0.6],
  ],
  [
    ['invert', 0.6],
    ['equalize', 1],
  ],
  [
    ['color', 0.6, 4],
    ['contrast', 1, 8],
  ],
  [
    ['equalize', 0.8],
    ['equalize', 0.6],
  ],
]

/**
 * The steps of one image: a sub-policy drawn uniformly, each of its two steps taken with its
 * probability, signed magnitudes with a random sign.
 *
 * @param random a stream of one (seed, epoch).
 * @param index first of the POLICY_WORDS words that this image may use: sub-policy, two
 *   probabilities, two signs.
 */
export function drawPolicy(random: RandomStream, index: number): PolicyStep[] {
  const entries = IMAGENET_POLICY[random.integer(index, IMAGENET_POLICY.length)]!
  const steps: PolicyStep[] = []
  for (const [i, [name, probability, magnitude]] of entries.entries()) {
    // Below, not up to: a probability of 0 is never.
    if (random.uniform(index + 1 + i) >= probability) continue
    const sign = random.bits(index + 3 + i) >>> 31 === 0 ? -1 : 1
    steps.push(policyStep(name, magnitude ?? 0, sign))
  }
  return steps
}

/**
 * A step of a magnitude, on torchvision's scale of ten bins.
 *
 * @param magnitude 0 to 9: shear up to 0.3, rotation up to 30 degrees, factors 1 -+ 0.9, solarize
 *   from 255 down to 0, posterize from 8 down to 4 bits.
 * @param sign -1 or 1, for steps that have one.
 */
export function policyStep(op: Name, magnitude: number, sign: number): PolicyStep {
  const upTo = (most: number) => linspace(most, magnitude)
  switch (op) {
    case 'posterize':
      return { op, bits: 8 - Math.round(magnitude / (9 / 4)) }
    case 'solarize':
      return { op, threshold: 255 - upTo(255) }
    case 'rotate':
      return { op, degrees: sign * upTo(30) }
    case 'shearX':
      return { op, slope: sign * upTo(0.3) }
    case 'contrast':
    case 'color':
    case 'sharpness':
      return { op, factor: 1 + sign * upTo(0.9) }
    default:
      return { op }
  }
}

/** torch.linspace(0, most, 10)[i], f32 as there: blending is exact only with the same bits. */
function linspace(most: number, i: number): number {
  const end = Math.fround(most)
  const step = Math.fround(end / 9)
  return i < 5 ? Math.fround(step * i) : Math.fround(end - step * (9 - i))
}

/** Codes of shaders/augment/policy_*.wesl. */
const CODES: Readonly<Record<Name, number>> = {
  posterize: 1,
  solarize: 2,
  invert: 3,
  autoContrast: 4,
  equalize: 5,
  contrast: 6,
  color: 7,
  sharpness: 8,
  rotate: 9,
  shearX: 9,
}

/** Words of one step on the device. */
export const STEP_WORDS = 8

/**
 * Writes a step as the kernels read it: its code, then the mask, the threshold, the bits of the
 * factor as f32, or the six 16.16 fixed-point numbers of a map from output to input pixels.
 *
 * @param words u32 [N, 8].
 * @param at which image.
 * @param step undefined: leave the image as it is.
 * @param size of the image.
 */
export function writeStep(
  words: Uint32Array,
  at: number,
  step: PolicyStep | undefined,
  size: Size,
): void {
  const start = STEP_WORDS * at
  words.fill(0, start, start + STEP_WORDS)
  if (step === undefined) return
  words[start] = CODES[step.op]
  const arguments_ = stepArguments(step, size)
  words.set(new Uint32Array(arguments_.buffer), start + 1)
}

function stepArguments(step: PolicyStep, size: Size): Int32Array | Float32Array {
  switch (step.op) {
    case 'posterize':
      return Int32Array.of(256 - 2 ** (8 - step.bits))
    case 'solarize':
      return Int32Array.of(Math.ceil(step.threshold))
    case 'contrast':
    case 'color':
    case 'sharpness':
      return Float32Array.of(step.factor)
    case 'rotate':
      return fixedPoint(rotation(step.degrees, size))
    case 'shearX':
      return fixedPoint([1, step.slope, 0, 0, 1, 0])
    default:
      return new Int32Array(0)
  }
}

/** Output pixel to input pixel of a rotation about the image's centre (PIL's Image.rotate). */
function rotation(degrees: number, { height, width }: Size): number[] {
  const angle = (-degrees * Math.PI) / 180
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
  const [x, y] = [width / 2, height / 2]
  return [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y]
}

/** As PIL's affine_fixed: the map of pixel centres, in units of 2^-16. */
function fixedPoint([a, b, c, d, e, f]: readonly number[]): Int32Array {
  const fixed = (value: number) => Math.floor(value * 65536 + 0.5)
  return Int32Array.of(
    fixed(a!),
    fixed(b!),
    fixed(c! + a! * 0.5 + b! * 0.5),
    fixed(d!),
    fixed(e!),
    fixed(f! + d! * 0.5 + e! * 0.5),
  )
}
