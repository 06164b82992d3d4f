import { formatFixed, formatP } from '../report/format.ts'
import { paperRow } from '../report/paperTable3.ts'
import type { Table } from '../report/tables.ts'
import { paperTemperatureR2, paperTransfer } from './paper.ts'
import { type Estimate, estimate, welch } from './statistics.ts'
import { type ObjectiveSummary, penultimateOf, type StudySummary } from './summary.ts'

/** Two means whose p is below this differ. */
export const significance = 0.05

const numeric = true
const perCent = (value: number) => 100 * value

/** `12.3 ± 0.4`, the mean and its standard error. */
function withError(
  of: Estimate | null | undefined,
  digits: number,
  scale = (value: number) => value,
): string {
  if (!of) return '–'
  const mean = formatFixed(scale(of.mean), digits)
  return of.se === null ? mean : `${mean} ± ${formatFixed(scale(of.se), digits)}`
}

/** All tables of a study, in the order of the report. */
export function studyTables(summary: StudySummary): Table[] {
  return [
    accuracyTable(summary),
    ...(['linear', 'knn'] as const).flatMap((method) => transferTable(summary, method)),
    separationTable(summary),
    ...sweepTables(summary),
    ...twinTable(summary),
  ]
}

/** A column of estimates, the best and what does not differ from it in bold, as in the paper. */
interface Column {
  readonly heading: string
  readonly group?: string
  readonly of: (objective: ObjectiveSummary) => Estimate | null | undefined
}

function comparisonTable(
  title: string,
  note: string,
  objectives: readonly ObjectiveSummary[],
  columns: readonly Column[],
): Table {
  const estimates = columns.map(({ of }) => objectives.map(of))
  const bold = estimates.map((column) => {
    const defined = column.filter((value) => value !== null && value !== undefined)
    const best = defined.reduce<Estimate | undefined>(
      (a, b) => (a && a.mean >= b.mean ? a : b),
      undefined,
    )
    return column.map((value) => {
      if (!value || !best) return false
      if (value === best || value.mean === best.mean) return true
      const { p } = welch(best, value)
      return p !== null && p >= significance
    })
  })
  return {
    title,
    note,
    columns: [
      { heading: 'objective', numeric: false },
      ...columns.map(({ heading, group }) => ({ heading, numeric, ...(group ? { group } : {}) })),
    ],
    rows: objectives.map(({ label }, r) => [
      label,
      ...estimates.map((column) => withError(column[r], 1, perCent)),
    ]),
    bold: objectives.map((_, r) => [false, ...bold.map((column) => column[r]!)]),
  }
}

const boldNote =
  'Per cent, mean ± standard error over seeds. Bold: the best of a column and all that do not differ from it (Welch’s t-test, two-sided, p ≥ 0.05, uncorrected).'

function accuracyTable({ objectives, data }: StudySummary): Table {
  const hasTop5 = objectives.some(({ top5 }) => top5)
  return comparisonTable(
    'Table 1. Accuracy on the task itself',
    `${boldNote} ${data.dataset.name}: ${data.dataset.test!.count} test images.`,
    objectives,
    [
      { heading: 'top-1', of: ({ top1 }) => top1 },
      ...(hasTop5 ? [{ heading: 'top-5', of: ({ top5 }: ObjectiveSummary) => top5 }] : []),
    ],
  )
}

function transferTable(summary: StudySummary, method: 'linear' | 'knn'): Table[] {
  const { objectives, data } = summary
  const sets = [...data.transfer.keys()]
  if (!objectives.some(({ meanTransfer }) => meanTransfer[method])) return []
  const name = method === 'linear' ? 'linear transfer' : 'k nearest neighbours'
  const table = comparisonTable(
    `Table 1, ${name}`,
    `${boldNote} Last column: the paper’s mean over its eight data sets, ImageNet at full width; compare the order, not the values.`,
    objectives,
    [
      ...sets.map((set) => ({
        heading: set,
        of: ({ transfer }: ObjectiveSummary) => transfer[set]?.[method],
      })),
      { heading: 'mean', of: ({ meanTransfer }) => meanTransfer[method] },
    ],
  )
  const paper = objectives.map((objective) => paperTransfer(objective.name, method))
  return [
    {
      ...table,
      columns: [...table.columns, { heading: 'paper’s mean', numeric }],
      rows: table.rows.map((row, r) => [
        ...row,
        paper[r] === undefined ? '–' : formatFixed(perCent(paper[r]), 1),
      ]),
      bold: table.bold!.map((row) => [...row, false]),
    },
  ]
}

function separationTable({ objectives, data }: StudySummary): Table {
  const { split } = data.study.analysis
  return {
    title: 'Table 3. Class separation',
    note: `Mean ± standard error over seeds. R² (cosine, classes weighted equally) of the penultimate layer on ${split === 'train' ? 'training' : 'test'} images, as in the paper’s Table 3 on ImageNet’s training set; share of activations that are not exactly zero.`,
    columns: [
      { heading: 'objective', numeric: false },
      { heading: 'top-1 (%)', numeric },
      { heading: 'R²', numeric },
      { heading: 'paper’s R²', numeric },
      { heading: 'non-zero (%)', numeric },
    ],
    rows: objectives.map((objective) => {
      const { r2, nonZero } = penultimateOf(objective)
      return [
        objective.label,
        withError(objective.top1, 1, perCent),
        r2 ? withError(r2, 3) : 'undefined',
        formatPaper(paperRow(objective.name)?.r2),
        withError(nonZero, 1, perCent),
      ]
    }),
  }
}

function formatPaper(value: number | undefined): string {
  return value === undefined ? '–' : formatFixed(value, 3)
}

/** The values of a sweep with the main comparison's own among them, by rising value. */
export function sweepSeries(
  summary: StudySummary,
): { objective: string; label: string; key: string; points: readonly SweepPoint[] }[] {
  const { sweep } = summary.data.study
  return Object.entries(sweep).flatMap(([objective, keys]) =>
    Object.keys(keys).flatMap((key) => {
      const swept = summary.sweeps.filter(
        ({ name, swept }) => name === objective && swept[key] !== undefined,
      )
      const main = summary.objectives.filter(({ name }) => name === objective)
      const points = [...swept, ...main]
        .map((each) => ({
          value: each.swept[key] ?? each.records[0]!.run.objective.hyperparameters[key]!,
          summary: each,
        }))
        .sort((a, b) => a.value - b.value)
      const label = (swept[0] ?? main[0])?.label
      return label && swept.length > 0 ? [{ objective, label, key, points }] : []
    }),
  )
}

export interface SweepPoint {
  readonly value: number
  readonly summary: ObjectiveSummary
}

function sweepTables(summary: StudySummary): Table[] {
  const sets = [...summary.data.transfer.keys()]
  return sweepSeries(summary).map(({ objective, label, key, points }) => {
    const isTemperature = objective === 'cosine-softmax' && key === 'tau'
    return {
      title: `Table 4. ${label} by ${key}`,
      note: 'Mean ± standard error over seeds, where there are several; accuracies in per cent, transfer by the linear probe.',
      columns: [
        { heading: key, numeric },
        { heading: 'seeds', numeric },
        { heading: 'top-1', numeric },
        { heading: 'R²', numeric },
        ...(isTemperature ? [{ heading: 'paper’s R²', numeric }] : []),
        ...sets.map((heading) => ({ heading, numeric })),
        { heading: 'mean', numeric },
      ],
      rows: points.map(({ value, summary: at }) => [
        String(value),
        String(at.records.length),
        withError(at.top1, 1, perCent),
        withError(penultimateOf(at).r2, 3),
        ...(isTemperature ? [formatPaper(paperTemperatureR2(value))] : []),
        ...sets.map((set) => withError(at.transfer[set]?.linear, 1, perCent)),
        withError(at.meanTransfer.linear, 1, perCent),
      ]),
    }
  })
}

/** Mean ± standard deviation, which is what two systems' seeds are to be compared by. */
function withSpread({ mean, sd }: Estimate, digits: number, scale = (value: number) => value) {
  const text = formatFixed(scale(mean), digits)
  return sd === null ? text : `${text} ± ${formatFixed(scale(sd), digits)}`
}

function twinTable({ objectives, twin }: StudySummary): Table[] {
  if (!twin) return []
  const rows = objectives.flatMap((objective) => {
    const theirs = objective.records.flatMap(({ run }) => twin.runs[run.id] ?? [])
    const { name, r2 } = penultimateOf(objective)
    if (theirs.length === 0 || !r2) return []
    const top1 = estimate(theirs.map((each) => each.top1))
    const separation = estimate(theirs.map((each) => each.r2[name]!))
    const p = (a: Estimate, b: Estimate) => welch(a, b).p
    const show = (value: number | null) =>
      value === null ? '–' : formatP(value).replace(/^p (= )?/, '')
    return [
      [
        objective.label,
        withSpread(objective.top1, 1, perCent),
        withSpread(top1, 1, perCent),
        show(p(objective.top1, top1)),
        withSpread(r2, 3),
        withSpread(separation, 3),
        show(p(r2, separation)),
      ],
    ]
  })
  if (rows.length === 0) return []
  const groups = ['top-1 (%)', 'R²'] as const
  return [
    {
      title: 'Beside PyTorch',
      note: `Mean ± standard deviation over seeds, here and of PyTorch ${twin.torch} with the same images, recipe and objectives (reference/twinStudy.py); its random numbers are others, so that seeds agree in distribution only. p: Welch’s t-test of equal means.`,
      columns: [
        { heading: 'objective', numeric: false },
        ...groups.flatMap((group) => [
          { heading: 'here', group, numeric },
          { heading: 'PyTorch', group, numeric },
          { heading: 'p', group, numeric },
        ]),
      ],
      rows,
    },
  ]
}
