/** A number for both axes of an image, or [height, width]. */
export type Pair = number | readonly [number, number]

/**
 * [height, width] of an attribute of an op on images.
 *
 * @throws Error naming op and attribute when a value is not an integer of at least `least`
 */
export function pair(
  op: string,
  attribute: string,
  value: Pair,
  least: number,
): readonly [number, number] {
  const both = typeof value === 'number' ? ([value, value] as const) : value
  for (const one of both)
    if (!Number.isInteger(one) || one < least)
      throw new Error(`${op}: ${attribute} is ${one}, expected an integer of at least ${least}`)
  return both
}
