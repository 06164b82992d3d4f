/** Features of examples with their labels, on the host. */
export interface LabelledFeatures {
  /** What errors call them: a file or a data set. */
  readonly name: string
  /** f32 [n, p]. */
  readonly features: Float32Array
  /** [n]. */
  readonly labels: Uint32Array
  /** p. */
  readonly width: number
}

/**
 * Checks features and labels against each other and for values that are not finite.
 *
 * @throws Error naming the set, what came and what was expected
 */
function checkFeatures({ name, features, labels, width }: LabelledFeatures): void {
  if (!Number.isInteger(width) || width < 1)
    throw new Error(`${name}: width is ${width}, expected an integer of at least 1`)
  if (labels.length === 0) throw new Error(`${name} has no examples, expected at least one`)
  if (features.length !== labels.length * width)
    throw new Error(
      `${name}: ${features.length} values came for ${labels.length} labels, expected ${width} an example`,
    )
  const at = features.findIndex((value) => !Number.isFinite(value))
  if (at >= 0)
    throw new Error(
      `${name}: feature ${at % width} of example ${Math.floor(at / width)} is ${features[at]}, expected a finite number`,
    )
}

/** Checks both sets of a transfer task. @throws Error as `checkFeatures`, or when widths differ */
export function checkPair(train: LabelledFeatures, test: LabelledFeatures): void {
  checkFeatures(train)
  checkFeatures(test)
  if (train.width !== test.width)
    throw new Error(
      `${test.name} has ${test.width} features an example, expected ${train.width} as ${train.name} has`,
    )
}

/** The classes that occur among labels, in order. @throws Error when there are fewer than two */
export function presentClasses({ name, labels }: LabelledFeatures): number[] {
  const classes = [...new Set(labels)].sort((a, b) => a - b)
  if (classes.length < 2)
    throw new Error(`${name} has examples of class ${classes[0]} only, expected two classes`)
  return classes
}
