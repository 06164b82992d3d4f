import type { Size } from './box.ts'
import type { ImagePlan } from './imagePlan.ts'
import { roundHalfEven } from './randomCrop.ts'

export interface EvaluationCrop {
  /** Length of the shortest side after resizing, from 1; default 8/7 of the input's: 256 for 224. */
  readonly resize?: number
  /**
   * `torchvision` (default): resize the whole image, then take the centre. `paper`: as the authors'
   * code, take the centre, of 224 / 256 of the shortest side, then resize it: the same up to
   * rounding (D11), but that pixels outside the crop never enter a filter. A `resize` equal to the
   * input takes the largest centred square, as the paper's transfer features (A.2).
   */
  readonly style?: 'torchvision' | 'paper'
}

/**
 * Resize, then centre crop: torchvision's Resize(256) and CenterCrop(224). The long side is rounded
 * down, the crop's corner to even; where the resized image is smaller than the crop, the rest is
 * black.
 *
 * @param size of the decoded image.
 * @param input the network's input; height and width must agree for `style: 'paper'`.
 * @throws RangeError when `resize` is no positive integer or the input is not square.
 */
export function evaluationPlan(
  size: Size,
  input: Size,
  {
    resize = Math.round((Math.min(input.height, input.width) * 8) / 7),
    style,
  }: EvaluationCrop = {},
): ImagePlan {
  if (!Number.isInteger(resize) || resize < 1) {
    throw new RangeError(`resize is ${resize}, expected an integer from 1`)
  }
  if (style === 'paper') return paperPlan(size, input, resize)
  const shortest = Math.min(size.height, size.width)
  const scaled = (side: number) =>
    side === shortest ? resize : Math.floor((resize * side) / shortest)
  const resized = { height: scaled(size.height), width: scaled(size.width) }
  return {
    box: { top: 0, left: 0, ...size },
    resized,
    first: {
      y: centreStart(resized.height, input.height),
      x: centreStart(resized.width, input.width),
    },
    flip: false,
  }
}

/** torchvision's center_crop; where it pads, half of the missing pixels, rounded down, go first. */
function centreStart(length: number, wanted: number): number {
  if (length >= wanted) return roundHalfEven((length - wanted) / 2)
  return -Math.floor((wanted - length) / 2)
}

/** google-research/loss_functions_transfer, resnet_preprocessing.py, center_crop. */
function paperPlan(size: Size, input: Size, resize: number): ImagePlan {
  if (input.height !== input.width) {
    throw new RangeError(
      `the input is ${input.height} x ${input.width}, expected a square with style 'paper'`,
    )
  }
  const share = Math.min(1, input.height / resize)
  const side = Math.max(1, Math.floor(share * Math.min(size.height, size.width)))
  const start = (length: number) => Math.floor((length - side + 1) / 2)
  return {
    box: { top: start(size.height), left: start(size.width), height: side, width: side },
    resized: input,
    first: { y: 0, x: 0 },
    flip: false,
  }
}

/**
 * The image itself in the middle of the network's input, black around it or cut at the borders; an
 * odd row or column more goes to the bottom or right.
 */
export function centredPlan(size: Size, input: Size): ImagePlan {
  const start = (length: number, wanted: number) => -Math.floor((wanted - length) / 2)
  return {
    box: { top: 0, left: 0, ...size },
    resized: size,
    first: { y: start(size.height, input.height), x: start(size.width, input.width) },
    flip: false,
  }
}
