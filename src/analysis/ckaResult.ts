import type { Estimator } from './gramStack.ts'

/** CKA of all pairs of layers, and the mean HSIC values that it is made of. */
export interface CkaResult {
  readonly layersA: readonly string[]
  readonly layersB: readonly string[]
  /** [layersA][layersB]; about 0 to 1, the unbiased estimator may lie outside; null if undefined. */
  readonly matrix: readonly (readonly (number | null)[])[]
  /** Why a value is null, by `LAYER_A/LAYER_B`. */
  readonly undefined: Readonly<Record<string, string>>
  /** Mean HSIC over the minibatches: of each pair, of each layer of A and of B with itself. */
  readonly hsicXY: readonly (readonly number[])[]
  readonly hsicXX: readonly number[]
  readonly hsicYY: readonly number[]
  readonly estimator: Estimator
  /** Examples seen, over all minibatches. */
  readonly n: number
  readonly batches: number
}

/**
 * HSIC of a layer with itself, over the square of its Gram matrix's trace, below which it is the
 * rounding of Gram entries in float32, each off by a few 2^-24 of its examples' norms.
 */
const ROUNDING = 2 ** -44

/** Why CKA with a layer is undefined, or undefined where it is not. */
export function whyUndefined(name: string, self: number, squaredTrace: number): string | undefined {
  if (!Number.isFinite(self))
    return `HSIC of ${name} with itself is not finite: its features hold NaN, infinities or numbers too large to square`
  if (self > ROUNDING * squaredTrace) return undefined
  return `HSIC of ${name} with itself is ${self < 0 ? 'negative' : '0 up to rounding'}: its examples do not vary, or are all equally far apart`
}
