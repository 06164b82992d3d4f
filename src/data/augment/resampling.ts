/** How pixels between pixels are found. */
export interface Resampling {
  readonly filter: 'bilinear' | 'bicubic'
  /**
   * true (default): all source pixels under an output pixel count, as PIL resizes, and as torchvision
   * does with PIL images or with `antialias=True` (bicubic a = -1/2). false: only the nearest 2 x 2
   * or 4 x 4, as torchvision does with tensors and `antialias=False` (bicubic a = -3/4).
   */
  readonly antialias?: boolean
  /**
   * Where the sampled points lie, without antialiasing: `half` (default) at pixel centres, `corner`
   * at multiples of the scale, as TensorFlow 1's resize_bicubic, which the paper's code calls (D10).
   */
  readonly points?: 'half' | 'corner'
}

/** @throws RangeError naming the setting that is none, or points at corners with antialiasing. */
export function checkResampling({ filter, antialias = true, points = 'half' }: Resampling): void {
  if (filter !== 'bilinear' && filter !== 'bicubic') {
    throw new RangeError(`filter is '${filter}', expected bilinear or bicubic`)
  }
  if (points !== 'half' && points !== 'corner') {
    throw new RangeError(`points is '${points}', expected half or corner`)
  }
  if (points === 'corner' && antialias) {
    throw new RangeError('points is corner with antialiasing, expected antialias false')
  }
}
