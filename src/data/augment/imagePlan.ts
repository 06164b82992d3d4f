import type { Box, Size } from './box.ts'
import type { PolicyStep } from './policy.ts'

/**
 * How one image becomes the network's input: a box of it is resized, a window of the result taken,
 * mirrored, and changed by a policy. Nothing here is random any more.
 */
export interface ImagePlan {
  /** What is resized. */
  readonly box: Box
  /** The size that the box is resized to. */
  readonly resized: Size
  /**
   * Row and column of the resized box at which the network's input begins. Negative, or where the
   * input reaches past the resized box: black there.
   */
  readonly first: { readonly y: number; readonly x: number }
  /** true: left and right change places. */
  readonly flip: boolean
  /** At most two colour or geometry steps, after flipping (AutoAugment). */
  readonly policy?: readonly PolicyStep[]
}

/** Words of one plan on the device: PLAN_VECTORS vectors of shaders/lib/image_plan.wesl. */
export const PLAN_WORDS = 12

/**
 * Writes a plan as the kernels read it.
 *
 * @param words u32 [N, 12].
 * @param at which image.
 * @param offset the box's first word among the pixels.
 * @param midOffset first word of the box's rows after the horizontal pass.
 */
export function writePlan(
  words: Uint32Array,
  at: number,
  { box, resized, first, flip }: ImagePlan,
  offset: number,
  midOffset: number,
): void {
  const start = PLAN_WORDS * at
  words.set([offset, box.height, box.width, flip ? 1 : 0], start)
  const scales = Float32Array.of(box.height / resized.height, box.width / resized.width)
  words.set(new Uint32Array(scales.buffer), start + 4)
  words.set(new Uint32Array(Int32Array.of(first.y, first.x).buffer), start + 6)
  words.set([resized.height, resized.width, midOffset, 0], start + 8)
}
