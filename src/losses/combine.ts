import type { Hyperparameter, ObjectiveDefinition, RecipeContext } from './definition.ts'

/** What Table C.4 combines. */
const TERMS = ['dropout', 'logit-penalty', 'logit-norm', 'cosine-softmax']
const LOSSES = ['softmax', 'label-smoothing', 'sigmoid', 'cosine-softmax']

/**
 * The combination of a regulariser or normalisation with a loss (Table C.4), in the order dropout,
 * cosine logits, logit normalisation, loss; the logit penalty is on the logits before their
 * normalisation. Where both have a hyperparameter of one name, each is called `objective.name`.
 *
 * @throws Error saying why the two have no combination
 */
export function combine(
  regulariser: ObjectiveDefinition,
  loss: ObjectiveDefinition,
): ObjectiveDefinition {
  const { term } = regulariser
  const why = refusal(regulariser.name, loss.name)
  if (why || !term) throw new Error(`${regulariser.name}+${loss.name}: ${why}`)
  const parts = [regulariser, loss]
  const nameOf = (part: ObjectiveDefinition, name: string) =>
    parts.every(({ hyperparameters }) => name in hyperparameters) ? `${part.name}.${name}` : name
  const valuesOf = (part: ObjectiveDefinition, values: Readonly<Record<string, number>>) =>
    Object.fromEntries(
      Object.keys(part.hyperparameters)
        .filter((name) => nameOf(part, name) in values)
        .map((name) => [name, values[nameOf(part, name)]!]),
    )
  const hyperparameters: Record<string, Hyperparameter> = {}
  for (const part of parts)
    for (const [name, hyperparameter] of Object.entries(part.hyperparameters))
      hyperparameters[nameOf(part, name)] = {
        ...hyperparameter,
        default: (context, values) => hyperparameter.default(context, valuesOf(part, values)),
      }
  const released = parts.flatMap((part) => part.released ?? [])
  return {
    name: `${regulariser.name}+${loss.name}`,
    label: `${regulariser.label} + ${loss.label}`,
    hyperparameters,
    ...(released.length > 0 ? { released: released.join('; ') } : {}),
    recipe: (values, context: RecipeContext) => ({
      ...loss.recipe(valuesOf(loss, values), context),
      ...term(valuesOf(regulariser, values), context),
    }),
  }
}

function refusal(term: string, loss: string): string | undefined {
  if (term === loss) return `${term} does not combine with itself`
  if (term === 'squared-error' || loss === 'squared-error')
    return 'squared error draws logits to fixed values, so it is not combined with other objectives'
  if (term === 'extra-l2' || loss === 'extra-l2')
    return 'the extra L2 penalty is not among the combinations of Table C.4'
  if (!TERMS.includes(term))
    return `${term} is a loss; the first of a combination is one of ${TERMS.join(', ')}`
  if (!LOSSES.includes(loss))
    return `${loss} is softmax with a term; the second of a combination is one of ${LOSSES.join(', ')}`
  return undefined
}
