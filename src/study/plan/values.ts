import * as v from 'valibot'

/** Kinds of values of a study file; each says what it expects. */

export const whole = (least: number) =>
  v.pipe(
    v.number(),
    v.check(
      (value) => Number.isSafeInteger(value) && value >= least,
      `an integer of at least ${least}`,
    ),
  )

export const above0 = v.pipe(
  v.number(),
  v.check((value) => value > 0 && Number.isFinite(value), 'a number above 0'),
)

export const atLeast0 = v.pipe(
  v.number(),
  v.check((value) => value >= 0 && Number.isFinite(value), 'a number of at least 0'),
)

export const text = v.pipe(
  v.string(),
  v.check((value) => value !== '', 'a text that is not empty'),
)

/** A list that is not empty. */
export const listOf = <const S extends v.GenericSchema>(item: S) =>
  v.pipe(
    v.array(item),
    v.check((value) => value.length > 0, 'a list that is not empty'),
  )
