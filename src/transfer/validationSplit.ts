import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'

/** Rows to fit and rows to choose by. */
export interface ValidationSplit {
  readonly fit: Uint32Array
  readonly validation: Uint32Array
}

/**
 * Holds out a share of each class's rows, drawn by seed; at least one row of each class stays to be
 * fitted. Rows keep their order.
 *
 * @param share above 0 and below 1
 * @throws Error when the share is out of range or no row would be held out
 */
export function validationSplit(
  name: string,
  labels: Uint32Array,
  share: number,
  seed: number,
): ValidationSplit {
  if (!(share > 0 && share < 1))
    throw new Error(`validation is ${share}, expected a share above 0 and below 1`)
  const members = new Map<number, number[]>()
  for (const [row, label] of labels.entries()) {
    const rows = members.get(label)
    if (rows) rows.push(row)
    else members.set(label, [row])
  }
  const held: number[] = []
  for (const [label, rows] of members) {
    const order = new RandomStream(seed, streams.split, label).permutation(rows.length)
    const count = Math.min(Math.round(share * rows.length), rows.length - 1)
    for (const place of order.subarray(0, count)) held.push(rows[place]!)
  }
  if (held.length === 0)
    throw new Error(
      `${name} has ${labels.length} examples of ${members.size} classes, too few to hold out a share of ${share} of each class`,
    )
  return heldOut(labels.length, Uint32Array.from(held.sort((a, b) => a - b)))
}

/** The split that holds out these rows. @throws Error on a row out of range, or when none are left */
export function heldOut(n: number, validation: Uint32Array): ValidationSplit {
  const isHeld = new Uint8Array(n)
  for (const row of validation) {
    if (row >= n) throw new Error(`validation has row ${row}, expected rows below ${n}`)
    isHeld[row] = 1
  }
  const fit = Uint32Array.from(isHeld.keys()).filter((row) => !isHeld[row])
  if (validation.length === 0 || fit.length === 0)
    throw new Error(`validation has ${validation.length} rows of ${n}, expected some but not all`)
  return { fit, validation }
}
