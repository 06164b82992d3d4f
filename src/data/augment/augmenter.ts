import { elementwiseCall } from '../../gpu/elementwise.ts'
import { kernels } from '../../gpu/generated/kernels.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { GpuArray } from '../../gpu/gpuArray.ts'
import { pieces } from '../../gpu/pieces.ts'
import type { LoadedImage } from '../imageSource.ts'
import { coefficientsOf } from './coefficients.ts'
import { type ImagePlan, PLAN_WORDS, writePlan } from './imagePlan.ts'
import type { Mixing } from './mixup.ts'
import { packBox } from './packBox.ts'
import { POLICY_STEPS, STEP_WORDS, writeStep } from './policy.ts'
import { checkResampling, type Resampling } from './resampling.ts'

export interface AugmenterOptions {
  /** Rows of the network's input. */
  readonly height: number
  /** Columns of the network's input. */
  readonly width: number
  /** Mean of each channel, pixels in [0, 1]; one number stands for all three. */
  readonly mean: readonly number[]
  /** Standard deviation of each channel, positive, likewise. */
  readonly std: readonly number[]
  /** Default bilinear, antialiased. */
  readonly resampling?: Resampling
}

/** Words of pixels that go to the device at a time, unless one image alone has more. */
const GROUP_WORDS = 2 ** 22

/**
 * Arrays that take the pixels in turn. Dawn copies into a buffer that the device is known to have
 * done with; for any other it makes one more, and fresh memory costs ten times the copy. What is
 * done is known after a submission or two.
 */
const SOURCES = 3

/** Arrays that grow with what they must hold. */
type Scratch = Map<string, GpuArray<'u32'>>

/**
 * Turns u8 images of any size into the network's input on the device: resize, window, mirror, policy
 * steps, normalise, mix. Pixels are bytes until the last kernel, as in torchvision's pipeline of PIL
 * images; only the boxes that are resized travel to the device.
 */
export class Augmenter {
  readonly #scratch: Scratch = new Map()
  readonly #coefficients: GpuArray<'f32'>
  readonly #resampling: Required<Resampling>
  #staging = new Uint32Array(0)
  #turn = 0

  /**
   * @throws RangeError when a size is no positive integer, a `std` is not positive, the statistics
   *   are not of one or three channels, or as `checkResampling`.
   */
  constructor(
    private readonly gpu: Gpu,
    private readonly options: AugmenterOptions,
  ) {
    const { height, width, resampling = { filter: 'bilinear' } } = options
    for (const [name, size] of Object.entries({ height, width })) {
      if (!Number.isInteger(size) || size < 1) {
        throw new RangeError(`${name} is ${size}, expected an integer from 1`)
      }
    }
    checkResampling(resampling)
    this.#resampling = { antialias: true, points: 'half', ...resampling }
    this.#coefficients = gpu.upload('f32', [2, 4], coefficientsOf(options), 'normalisation')
  }

  /**
   * Fills the network's input.
   *
   * @param images B of them, u8, of 1, 3 or 4 channels.
   * @param plans B of them.
   * @param out f32 [B, height, width, 3].
   * @param mixing without it, no Mixup.
   * @throws RangeError when the counts differ, an image is f32, or a plan's box is not inside its
   *   image.
   */
  async run(
    images: readonly LoadedImage[],
    plans: readonly ImagePlan[],
    out: GpuArray<'f32'>,
    mixing?: Mixing,
  ): Promise<void> {
    const { gpu } = this
    const { height, width } = this.options
    const batch = images.length
    if (plans.length !== batch || out.length !== batch * height * width * 3) {
      throw new RangeError(
        `${batch} images, ${plans.length} plans and an output of ${out.length} values, expected ` +
          `as many plans and ${batch * height * width * 3} values`,
      )
    }
    const changes = mixing !== undefined || plans.some(({ policy }) => policy?.length)
    const isFused = this.#resampling.antialias && width % 4 === 0 && !changes
    const pixels = isFused ? undefined : this.#array('pixels', batch * height * width)
    for (const { first, count, views } of pieces(gpu, batch, { target: pixels ?? out })) {
      const last = first + count
      for (let at = first; at < last; ) {
        const end = Math.min(last, groupEnd(plans, at))
        this.#resize(images.slice(at, end), plans.slice(at, end), at - first, views.target)
        // The next group overwrites what this one reads.
        if (end < batch) await gpu.flush()
        at = end
      }
    }
    if (pixels) this.#normalize(this.#applyPolicies(plans, pixels), out, mixing)
    await gpu.flush()
  }

  /** Gives the device's memory back. */
  release(): void {
    this.#coefficients.release()
    for (const array of this.#scratch.values()) array.release()
    this.#scratch.clear()
  }

  /**
   * @param firstImage place in the target of the first of these images
   * @param target pixels, or the network's input itself
   */
  #resize(
    images: readonly LoadedImage[],
    plans: readonly ImagePlan[],
    firstImage: number,
    target: GpuArray<'u32'> | GpuArray<'f32'>,
  ): void {
    const { gpu } = this
    const { height, width } = this.options
    const words = new Uint32Array(PLAN_WORDS * plans.length)
    let offset = 0
    let midOffset = 0
    for (const [i, plan] of plans.entries()) {
      writePlan(words, i, plan, offset, midOffset)
      offset += plan.box.height * plan.box.width
      midOffset += plan.box.height * width
    }
    if (this.#staging.length < offset) this.#staging = new Uint32Array(offset)
    let at = 0
    for (const [i, { box }] of plans.entries()) at = packBox(images[i]!, box, this.#staging, at)
    const planArray = this.#write('plans', words)
    this.#turn = (this.#turn + 1) % SOURCES
    // Single large images have one array alone, for their size.
    const name = offset > GROUP_WORDS ? 'source' : `source ${this.#turn}`
    const source = this.#write(name, this.#staging.subarray(0, offset))
    const { filter, antialias, points } = this.#resampling
    const constants = { LANES: gpu.profile.lanes }
    const share = Math.max(1, Math.ceil(gpu.profile.targetWorkgroups / plans.length))
    const workgroups = [Math.min(share, height), plans.length, 1] as const
    const CUBIC = filter === 'bicubic'
    if (!antialias) {
      gpu.dispatch(kernels.augment_sample, {
        constants,
        conditions: { CUBIC, CORNER: points === 'corner' },
        params: { height, width, firstImage },
        buffers: { plans: planArray, source, pixels: target as GpuArray<'u32'> },
        workgroups,
      })
      return
    }
    const mid = this.#array('mid', midOffset)
    gpu.dispatch(kernels.augment_resize_horizontal, {
      constants,
      conditions: { CUBIC },
      params: { width },
      buffers: { plans: planArray, source, mid },
      workgroups,
    })
    if (target.dtype === 'f32') {
      const coefficients = this.#coefficients
      gpu.dispatch(kernels.augment_resize_normalize, {
        constants,
        conditions: { CUBIC },
        params: { height, width4: width / 4, firstImage },
        buffers: { plans: planArray, mid, coefficients, images: target as GpuArray<'f32'> },
        workgroups,
      })
      return
    }
    gpu.dispatch(kernels.augment_resize_vertical, {
      constants,
      conditions: { CUBIC },
      params: { height, width, firstImage },
      buffers: { plans: planArray, mid, pixels: target as GpuArray<'u32'> },
      workgroups,
    })
  }

  /** Returns the array that holds the result. */
  #applyPolicies(plans: readonly ImagePlan[], pixels: GpuArray<'u32'>): GpuArray<'u32'> {
    const { gpu } = this
    const { height, width } = this.options
    const constants = { LANES: gpu.profile.lanes }
    const share = Math.max(1, Math.ceil(gpu.profile.targetWorkgroups / plans.length))
    let from = pixels
    let to = pixels
    for (let round = 0; round < POLICY_STEPS; round++) {
      if (plans.every(({ policy }) => policy?.[round] === undefined)) break
      to = this.#array(from === pixels ? 'changed' : 'pixels', pixels.length)
      const words = new Uint32Array(STEP_WORDS * plans.length)
      for (const [i, { policy }] of plans.entries()) {
        writeStep(words, i, policy?.[round], this.options)
      }
      const steps = this.#write(`steps ${round}`, words)
      const table = this.#array('table', 256 * plans.length)
      gpu.dispatch(kernels.augment_policy_table, {
        constants,
        params: { imagePixels: height * width, zero: 0 },
        buffers: { steps, pixels: from, table },
        workgroups: [1, plans.length, 1],
      })
      gpu.dispatch(kernels.augment_policy_apply, {
        constants,
        params: { height, width, zero: 0 },
        buffers: { steps, table, x: from, y: to },
        workgroups: [Math.min(share, height), plans.length, 1],
      })
      from = to
    }
    return to
  }

  #normalize(pixels: GpuArray<'u32'>, out: GpuArray<'f32'>, mixing: Mixing | undefined): void {
    const { gpu } = this
    const { height, width } = this.options
    const partners = this.#write('partners', mixing?.partners ?? new Uint32Array(1))
    const imagePixels = height * width
    const batch = pixels.length / imagePixels
    // A partner may lie in any piece, so the pixels, a third of the input's size, are bound whole.
    for (const { first, count, views } of pieces(gpu, batch, { images: out }))
      gpu.dispatch(kernels.augment_normalize, {
        ...elementwiseCall(
          gpu,
          { length: count * imagePixels },
          {
            vectors: Math.ceil(views.images.length / 4),
            imagePixels,
            first: (first * imagePixels) / 4,
            lastPixel: pixels.length - 1,
            lambda: mixing?.lambda ?? 1,
          },
        ),
        conditions: { MIX: mixing !== undefined },
        buffers: { pixels, coefficients: this.#coefficients, partners, ...views },
      })
  }

  /** Working memory by name: a view of this length over a buffer that has grown to hold it. */
  #array(name: string, length: number): GpuArray<'u32'> {
    const held = this.#scratch.get(name)
    if (held && held.length >= length) return new GpuArray('u32', [length], held.storage)
    held?.release()
    // Some more than asked for, if the device allows: the boxes of the next batch may be larger.
    const most = this.gpu.largestBinding / 4
    const room = Math.max(4, length, Math.min(Math.ceil(length * 1.25), most))
    const grown = this.gpu.empty('u32', [room], name)
    this.#scratch.set(name, grown)
    return new GpuArray('u32', [length], grown.storage)
  }

  #write(name: string, data: Uint32Array): GpuArray<'u32'> {
    const array = this.#array(name, data.length)
    this.gpu.write(array, data)
    return array
  }
}

/** The images from `first` on that go to the device together. */
function groupEnd(plans: readonly ImagePlan[], first: number): number {
  let words = 0
  let end = first
  for (; end < plans.length; end++) {
    const { height, width } = plans[end]!.box
    words += height * width
    if (words > GROUP_WORDS && end > first) break
  }
  return end
}
