import { formatFixed, formatList, formatP, formatPercent, isDefined } from '../report/format.ts'
import { spearman } from '../report/spearman.ts'
import { pairsOfRuns } from './meanCka.ts'
import { correlationInterval, type Estimate, estimate, meanInterval, welch } from './statistics.ts'
import { type ObjectiveSummary, penultimateOf, type StudySummary } from './summary.ts'
import { significance, sweepSeries } from './tables.ts'

/** Whether what the paper found shows here: in the means and beyond chance, in the means only, or not. */
type Verdict = 'holds' | 'holds in the means only' | 'does not hold'

/** One of the paper's findings, and what this study says of it. */
export interface Finding {
  readonly claim: string
  readonly verdict: Verdict
  /** Figures with their intervals, a sentence each. */
  readonly evidence: readonly string[]
}

const index = (value: number) => formatFixed(value, 3)
const interval = (of: readonly [number, number] | null, show: (value: number) => string) =>
  of ? `95 % interval ${show(of[0])} to ${show(of[1])}` : 'no interval'

/** The paper's findings, one by one. */
export function paperFindings(summary: StudySummary): Finding[] {
  return [
    extremeSeparation(summary, 'softmax', 'lowest'),
    extremeSeparation(summary, 'squared-error', 'highest'),
    transferCorrelation(summary),
    lateLayers(summary),
    sparsity(summary),
    temperature(summary),
  ].filter((finding) => finding !== undefined)
}

function separationOf(objective: ObjectiveSummary): Estimate | null {
  return penultimateOf(objective).r2
}

/** Whether an objective's R² is the lowest or highest of all. */
function extremeSeparation(
  { objectives }: StudySummary,
  name: string,
  end: 'lowest' | 'highest',
): Finding | undefined {
  const own = objectives.find((objective) => objective.name === name)
  const r2 = own && separationOf(own)
  const others = objectives.flatMap((objective) => {
    const value = separationOf(objective)
    return objective === own || !value ? [] : [{ label: objective.label, value }]
  })
  if (!r2 || others.length === 0) return undefined
  const sign = end === 'lowest' ? 1 : -1
  const differences = others
    .map(({ label, value }) => ({ label, mean: value.mean, ...welch(value, r2) }))
    .sort((a, b) => sign * (a.difference - b.difference))
  const beyond = differences.filter(({ difference }) => sign * difference < 0)
  const clear = differences.filter((each) => isClear(each, sign))
  const nearest = differences[0]!
  const rank = 1 + beyond.length
  const verdict =
    beyond.length > 0
      ? 'does not hold'
      : clear.length === differences.length
        ? 'holds'
        : 'holds in the means only'
  return {
    claim: `${own.label} has the ${end} class separation.`,
    verdict,
    evidence: [
      `Its R² is ${index(r2.mean)} (${interval(meanInterval(r2), index)}), number ${rank} of ${differences.length + 1} from the ${end === 'lowest' ? 'low' : 'high'} end.`,
      `${nearest.label}, the ${beyond.length > 0 ? 'one at that end' : 'nearest'}, has ${index(nearest.mean)}: a difference of ${signed(nearest.difference)} (${interval(nearest.interval, signed)}).`,
      `Of the ${differences.length} other objectives ${clear.length} are ${end === 'lowest' ? 'higher' : 'lower'} beyond a 95 % interval.`,
    ],
  }
}

function isClear({ interval: of }: { interval: readonly [number, number] | null }, sign: number) {
  return of !== null && (sign > 0 ? of[0] > 0 : of[1] < 0)
}

function signed(value: number): string {
  const text = formatFixed(value, 3)
  return value > 0 ? `+${text}` : text
}

/** Spearman of the objectives' R² with their accuracy on other data. */
function rankCorrelation(
  objectives: readonly ObjectiveSummary[],
  accuracy: (objective: ObjectiveSummary) => Estimate | undefined,
) {
  const points = objectives.flatMap((objective) => {
    const [x, y] = [separationOf(objective)?.mean, accuracy(objective)?.mean]
    return isDefined(x) && isDefined(y) ? [{ x, y }] : []
  })
  // The p-value is exact, by all orders of at most ten objectives.
  if (points.length < 3 || points.length > 10) return undefined
  const { rho, p } = spearman(
    points.map(({ x }) => x),
    points.map(({ y }) => y),
  )
  if (!isDefined(rho)) return undefined
  return { rho, p, n: points.length, interval: correlationInterval(rho, points.length) }
}

const two = (value: number) => formatFixed(value, 2)

function transferCorrelation({ objectives, data }: StudySummary): Finding | undefined {
  const over = (of: 'linear' | 'knn', set?: string) =>
    rankCorrelation(objectives, ({ transfer, meanTransfer }) =>
      set === undefined ? meanTransfer[of] : transfer[set]?.[of],
    )
  const main = over('linear')
  if (!main) return undefined
  const verdict =
    main.rho >= 0
      ? 'does not hold'
      : (main.interval?.[1] ?? -1) < 0 && main.p < significance
        ? 'holds'
        : 'holds in the means only'
  const text = (found: NonNullable<typeof main>) =>
    `${two(found.rho)} (${interval(found.interval, two)}; exact two-sided ${formatP(found.p)}; ${found.n} objectives)`
  const sets = [...data.transfer.keys()].flatMap((set) => {
    const found = over('linear', set)
    return found ? [`${two(found.rho)} on ${set}`] : []
  })
  const knn = over('knn')
  return {
    claim: 'Class separation and linear transfer are negatively correlated.',
    verdict,
    evidence: [
      `Spearman’s correlation of R² and mean linear transfer accuracy over the objectives is ${text(main)}.`,
      ...(sets.length > 1 ? [`By data set it is ${formatList(sets)}.`] : []),
      ...(knn ? [`With nearest neighbours in place of the linear probe it is ${text(knn)}.`] : []),
    ],
  }
}

/** What networks of one objective from two seeds have in common and those of two objectives have not. */
function lateLayers(summary: StudySummary): Finding | undefined {
  const pairs = pairsOfRuns(summary)
  const isEarly = (layer: string) => /^layer[12]\./.test(layer)
  const isLate = (layer: string) => /^layer4\./.test(layer) || layer === 'avgpool'
  const gapsBySeed = new Map<number, { early: number[]; late: number[] }>()
  for (const seed of new Set(pairs.map(({ a }) => a.run.seed))) {
    const ofSeed = pairs.filter(({ a }) => a.run.seed === seed)
    const diagonal = (same: boolean, which: (layer: string) => boolean) =>
      ofSeed
        .filter(({ a, b }) => (a.run.objective.name === b.run.objective.name) === same)
        .flatMap(({ comparison: { layersA, matrix } }) =>
          layersA.flatMap((layer, i) => {
            const value = matrix[i]![i]
            return which(layer) && isDefined(value) ? [value] : []
          }),
        )
    const gap = (which: (layer: string) => boolean) => {
      const [same, other] = [diagonal(true, which), diagonal(false, which)]
      return same.length > 0 && other.length > 0 ? [estimate(same).mean - estimate(other).mean] : []
    }
    gapsBySeed.set(seed, { early: gap(isEarly), late: gap(isLate) })
  }
  const gaps = [...gapsBySeed.values()].filter(
    ({ early, late }) => early.length + late.length === 2,
  )
  if (gaps.length === 0) return undefined
  const early = estimate(gaps.map((gap) => gap.early[0]!))
  const late = estimate(gaps.map((gap) => gap.late[0]!))
  const more = estimate(gaps.map((gap) => gap.late[0]! - gap.early[0]!))
  const range = meanInterval(more)
  const verdict =
    more.mean <= 0 ? 'does not hold' : range && range[0] > 0 ? 'holds' : 'holds in the means only'
  const text = (of: Estimate) => `${index(of.mean)} (${interval(meanInterval(of), index)})`
  return {
    claim: 'Early layers are alike whatever the objective; late ones are not.',
    verdict,
    evidence: [
      `CKA between corresponding layers of two seeds is higher within an objective than between objectives by ${text(early)} in the first two stages and by ${text(late)} in the last stage and the average pool.`,
      `The difference of the two is ${text(more)}; each seed counts once.`,
    ],
  }
}

/** In the paper these have fewer than a quarter of their penultimate activations at work, softmax 93 %. */
const sparse = ['logit-norm', 'cosine-softmax', 'squared-error']

function sparsity({ objectives }: StudySummary): Finding | undefined {
  const shareOf = (objective: ObjectiveSummary) => penultimateOf(objective).nonZero
  const softmax = objectives.find(({ name }) => name === 'softmax')
  const share = softmax && shareOf(softmax)
  const rows = objectives.flatMap((objective) => {
    const value = shareOf(objective)
    return sparse.includes(objective.name) && value && share
      ? [{ label: objective.label, value, ...welch(value, share) }]
      : []
  })
  if (!share || rows.length === 0) return undefined
  const below = rows.filter(({ difference }) => difference < 0)
  const clear = rows.filter((row) => isClear(row, -1))
  const points = (value: number) => `${formatFixed(100 * value, 1)} points`
  const order = objectives
    .flatMap((objective) => {
      const value = shareOf(objective)
      return value ? [{ label: objective.label, mean: value.mean }] : []
    })
    .sort((a, b) => b.mean - a.mean)
  return {
    claim:
      'Logit normalisation, cosine softmax and squared error have sparse penultimate features, softmax has dense ones.',
    verdict:
      below.length < rows.length
        ? 'does not hold'
        : clear.length === rows.length
          ? 'holds'
          : 'holds in the means only',
    evidence: [
      `Non-zero share of the penultimate activations: ${order.map(({ label, mean }) => `${label} ${formatPercent(mean)}`).join(', ')}.`,
      ...rows.map(
        ({ label, difference, interval: range }) =>
          `${label} less Softmax: ${points(difference)} (${interval(range, points)}).`,
      ),
    ],
  }
}

function temperature(summary: StudySummary): Finding | undefined {
  const series = sweepSeries(summary).find(
    ({ objective, key }) => objective === 'cosine-softmax' && key === 'tau',
  )
  if (!series || series.points.length < 3) return undefined
  const points = series.points.flatMap(({ value, summary: at }) => {
    const r2 = separationOf(at)
    return r2 ? [{ value, r2: r2.mean, linear: at.meanTransfer.linear?.mean }] : []
  })
  const rank = (values: readonly number[]) =>
    spearman(
      points.map(({ value }) => value),
      values,
    )
  const { rho, p } = rank(points.map(({ r2 }) => r2))
  if (!isDefined(rho)) return undefined
  const linear = points.map((point) => point.linear)
  const transfer = linear.every(isDefined) ? rank(linear) : undefined
  const listed = points.map(({ value, r2 }) => `${index(r2)} at ${value}`)
  return {
    claim: 'A higher temperature of cosine softmax raises class separation.',
    verdict: rho <= 0 ? 'does not hold' : p < significance ? 'holds' : 'holds in the means only',
    evidence: [
      `R² is ${formatList(listed)}: Spearman’s correlation ${two(rho)} (exact two-sided ${formatP(p)}; ${interval(correlationInterval(rho, points.length), two)}).`,
      ...(transfer && isDefined(transfer.rho)
        ? [
            `Mean linear transfer falls with temperature in the paper; here the correlation is ${two(transfer.rho)} (${formatP(transfer.p)}).`,
          ]
        : []),
    ],
  }
}
