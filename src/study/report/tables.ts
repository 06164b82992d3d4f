import type { ObjectiveResult, StudyResult } from '../studyResult.ts'
import { correspondingLayers } from './comparisons.ts'
import { formatFixed, formatPercent, formatRate, formatSeconds } from './format.ts'
import { paperLabel, paperRow } from './paperTable3.ts'

/** A table of finished texts, for a terminal, Markdown or HTML alike. */
export interface Table {
  title: string
  columns: {
    heading: string
    /** A heading that spans this and neighbouring columns that have the same one. */
    group?: string
    numeric: boolean
  }[]
  /** One text a column. */
  rows: string[][]
  /** Which cells stand out, by row and column. */
  bold?: boolean[][]
  /** How it is to be read. */
  note?: string
}

/** The last layer that the study looked at: the network's penultimate one. */
export function penultimate(objective: ObjectiveResult): ObjectiveResult['layers'][number] {
  return objective.layers.at(-1)!
}

/** A row an objective: accuracy, the penultimate layer, speed, and the paper's values beside them. */
export function summaryTable(result: StudyResult): Table {
  const withPaper = result.objectives.some(({ name }) => paperRow(name))
  const numeric = true
  return {
    title: 'Objectives at a glance',
    columns: [
      { heading: 'objective', numeric: false },
      { heading: 'top-1', numeric },
      { heading: 'R²', group: 'penultimate layer', numeric },
      { heading: 'non-zero', group: 'penultimate layer', numeric },
      { heading: 'images/s', group: 'training', numeric },
      { heading: 'time', group: 'training', numeric },
      ...(withPaper
        ? [
            { heading: 'top-1', group: paperLabel, numeric },
            { heading: 'R²', group: paperLabel, numeric },
          ]
        : []),
    ],
    rows: result.objectives.map((objective) => {
      const { r2, nonZero } = penultimate(objective)
      const paper = paperRow(objective.name)
      return [
        objective.label,
        formatPercent(objective.top1),
        formatFixed(r2, 3),
        formatPercent(nonZero),
        formatRate(objective.imagesPerSecond),
        formatSeconds(objective.seconds),
        ...(withPaper
          ? [paper ? formatPercent(paper.top1) : '–', paper ? formatFixed(paper.r2, 3) : '–']
          : []),
      ]
    }),
  }
}

/** R² and the non-zero share of every layer, and CKA of corresponding layers. */
export function layerTables(result: StudyResult): Table[] {
  const labels = new Map(result.objectives.map(({ name, label }) => [name, label]))
  const perObjective = (
    title: string,
    show: (layer: ObjectiveResult['layers'][number]) => string,
  ) => ({
    title,
    columns: result.objectives.map(({ label }) => label),
    values: result.objectives.map(
      ({ layers }) => new Map(layers.map((layer) => [layer.name, show(layer)])),
    ),
  })
  const parts = [
    perObjective('Class separation R² by layer', ({ r2 }) => formatFixed(r2, 3)),
    perObjective('Non-zero activations by layer', ({ nonZero }) => formatPercent(nonZero)),
  ]
  if (result.cka.length > 0) {
    parts.push({
      title: 'CKA between corresponding layers',
      columns: result.cka.map(({ a, b }) => `${labels.get(a)} – ${labels.get(b)}`),
      values: result.cka.map(
        (comparison) =>
          new Map(
            correspondingLayers(comparison).map(({ layer, cka }) => [layer, formatFixed(cka, 3)]),
          ),
      ),
    })
  }
  return parts.map(({ title, columns, values }) => ({
    title,
    columns: [
      { heading: 'layer', numeric: false },
      ...columns.map((heading) => ({ heading, numeric: true })),
    ],
    rows: [...new Set(values.flatMap((column) => [...column.keys()]))].map((layer) => [
      layer,
      ...values.map((column) => column.get(layer) ?? '–'),
    ]),
  }))
}
