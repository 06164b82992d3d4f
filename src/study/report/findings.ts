import type { CkaComparison, StudyResult } from '../studyResult.ts'
import { correspondingLayers, referenceObjective } from './comparisons.ts'
import { formatFixed, formatList, formatP, formatPercent, isDefined } from './format.ts'
import { paperOrder } from './paperOrder.ts'
import { penultimate } from './tables.ts'

/** CKA below this counts as a difference worth naming. */
const ckaThreshold = 0.5

/** What this result shows, in sentences made from its numbers alone. */
export function findings(result: StudyResult): string[] {
  const at = result.objectives[0] ? penultimate(result.objectives[0]).name : ''
  const percent = (value: number) => formatPercent(value)
  const index = (value: number) => formatFixed(value, 3)
  return [
    extremes(
      'Held-out top-1 accuracy',
      result.objectives.map(({ label, top1 }) => ({ label, value: top1 })),
      percent,
    ),
    guessing(result),
    extremes(
      `Class separation R² in the penultimate layer (${at})`,
      result.objectives.map((o) => ({ label: o.label, value: penultimate(o).r2 })),
      index,
    ),
    spread(result, 'R²', ({ r2 }) => r2, index),
    extremes(
      `The share of non-zero activations in the penultimate layer (${at})`,
      result.objectives.map((o) => ({ label: o.label, value: penultimate(o).nonZero })),
      percent,
    ),
    spread(
      result,
      'the non-zero share',
      ({ nonZero }) => nonZero,
      (value) => `${formatFixed(value * 100, 1)} percentage points`,
    ),
    ...ckaFindings(result),
    orderFinding(result),
  ].filter((sentence) => sentence !== undefined)
}

function extremes(
  subject: string,
  entries: { label: string; value: number | null }[],
  show: (value: number) => string,
): string | undefined {
  const defined = entries.flatMap(({ label, value }) =>
    isDefined(value) ? [{ label, value, text: show(value) }] : [],
  )
  if (defined.length === 0) return undefined
  const high = Math.max(...defined.map(({ value }) => value))
  const low = Math.min(...defined.map(({ value }) => value))
  const top = show(high)
  const bottom = show(low)
  const labelsOf = (text: string) =>
    formatList(defined.filter((entry) => entry.text === text).map(({ label }) => label))
  if (defined.length === 1) return `${subject} is ${top} for ${defined[0]!.label}.`
  if (top === bottom) return `${subject} is the same, ${top}, for ${labelsOf(top)}.`
  return `${subject} is highest for ${labelsOf(top)} (${top}) and lowest for ${labelsOf(bottom)} (${bottom}).`
}

/** Networks that learned nothing, whose features are therefore not worth comparing. */
function guessing({ objectives, dataset }: StudyResult): string | undefined {
  const chance = 1 / dataset.classes
  const untrained = objectives.filter(({ top1 }) => !(top1 > chance)).map(({ label }) => label)
  if (untrained.length === 0) return undefined
  return `${formatList(untrained)} did no better than guessing among ${dataset.classes} classes (${formatPercent(chance)}).`
}

/** Where along depth objectives differ: the layer of the largest range, and where half of it is reached. */
function spread(
  { objectives }: StudyResult,
  quantity: string,
  pick: (layer: StudyResult['objectives'][number]['layers'][number]) => number | null,
  show: (value: number) => string,
): string | undefined {
  if (objectives.length < 2) return undefined
  const ranges = objectives[0]!.layers.flatMap(({ name }) => {
    const values = objectives.map(({ layers }) => {
      const layer = layers.find((candidate) => candidate.name === name)
      return layer ? pick(layer) : null
    })
    if (!values.every(isDefined)) return []
    return [{ name, range: Math.max(...values) - Math.min(...values) }]
  })
  const largest = ranges.reduce((a, b) => (b.range > a.range ? b : a), ranges[0]!)
  if (!largest || largest.range === 0) return undefined
  const half = ranges.find(({ range }) => range >= largest.range / 2)!
  const gap =
    objectives.length === 2
      ? `the difference in ${quantity}`
      : `the range of ${quantity} over objectives`
  const where =
    half === largest
      ? 'no earlier layer reaches half of that'
      : `half of that is first reached in ${half.name}`
  return `Along depth, ${gap} is largest in ${largest.name} (${show(largest.range)}); ${where}.`
}

function ckaFindings({ cka, objectives }: StudyResult): string[] {
  const labels = new Map(objectives.map(({ name, label }) => [name, label]))
  const reference = cka.length > 1 ? referenceObjective(cka) : undefined
  const subject = reference
    ? `CKA with the same layer of ${labels.get(reference)}`
    : 'CKA between corresponding layers'
  const whom = ({ a, b }: CkaComparison) =>
    reference ? labels.get(a === reference ? b : a)! : `${labels.get(a)} and ${labels.get(b)}`
  const below: string[] = []
  const above: string[] = []
  for (const comparison of cka) {
    const pairs = correspondingLayers(comparison).flatMap(({ layer, cka: value }) =>
      value === null ? [] : [{ layer, value }],
    )
    if (pairs.length === 0) continue
    const whole = pairs.length === comparison.layersA.length
    const first = pairs.find(({ value }) => value < ckaThreshold)
    const lowest = pairs.reduce((a, b) => (b.value < a.value ? b : a))
    if (first) {
      below.push(`in ${first.layer} (${formatFixed(first.value, 3)}) for ${whom(comparison)}`)
    } else {
      const where = `lowest ${formatFixed(lowest.value, 3)} in ${lowest.layer}`
      above.push(`${whom(comparison)} (${where}${whole ? '' : '; some are undefined'})`)
    }
  }
  return [
    ...(below.length > 0 ? [`${subject} first falls below 0.5 ${formatList(below)}.`] : []),
    ...(above.length > 0
      ? [`${subject} is 0.5 or more in every layer for ${formatList(above)}.`]
      : []),
  ]
}

/** How far the order of R² is the paper's. */
function orderFinding(result: StudyResult): string | undefined {
  const order = paperOrder(result)
  if (!order) return undefined
  const { pairs, agreeing, rho, p, objectives } = order
  if (pairs === 1) {
    return agreeing === 1
      ? 'The two objectives stand in the same order of R² as in the paper’s Table 3.'
      : 'The two objectives do not stand in the order of R² that the paper’s Table 3 shows.'
  }
  const counted = `${agreeing} of the ${pairs} pairs of objectives stand in the same order of R² as in the paper’s Table 3`
  if (!isDefined(rho)) return `${counted}.`
  return `${counted}: Spearman’s rank correlation is ${formatFixed(rho, 2)} (${objectives} objectives, exact two-sided ${formatP(p)}).`
}
