import type { CkaComparison, ObjectiveResult, StudyResult } from '../studyResult.ts'
import type { Chart } from './chart.ts'
import { correspondingLayers, referenceObjective } from './comparisons.ts'
import { formatCount, formatFixed, isDefined } from './format.ts'
import { layoutLayers } from './layerLayout.ts'
import { lineFigure, type XAxis } from './lineFigure.ts'
import type { Series, YAxis } from './series.ts'
import type { SeriesStyle } from './theme.ts'

type Styles = Map<string, SeriesStyle>

/** Class separation R² of every layer, a line an objective. */
export function r2Figure(result: StudyResult, styles: Styles, compact: boolean): Chart {
  return objectiveFigure(
    result,
    styles,
    {
      title: 'Class separation by layer',
      description: 'Line chart of class separation R² in every layer, a line for each objective.',
    },
    (layer) => layer.r2,
    index('Class separation R²', compact),
    compact,
  )
}

/** Share of non-zero activations of every layer in per cent, a line an objective. */
export function nonZeroFigure(result: StudyResult, styles: Styles, compact: boolean): Chart {
  return objectiveFigure(
    result,
    styles,
    {
      title: 'Non-zero activations by layer',
      description:
        'Line chart of the share of non-zero activations in every layer, a line for each objective.',
    },
    (layer) => layer.nonZero * 100,
    {
      domain: [0, 100],
      title: 'Non-zero activations (%)',
      format: 'd',
      show: (value) => `${formatFixed(value, 1)} %`,
      showShort: (value) => `${formatFixed(value, 1)} %`,
    },
    compact,
  )
}

/** CKA between corresponding layers, a line a comparison. */
export function ckaByLayerFigure(result: StudyResult, styles: Styles, compact: boolean): Chart {
  const labels = new Map(result.objectives.map(({ name, label }) => [name, label]))
  const reference = referenceObjective(result.cka)
  const names = layerNames(result.cka.map((comparison) => comparison.layersA))
  const series = result.cka.map((comparison) => {
    const pairs = new Map(
      correspondingLayers(comparison).map(({ layer, cka }) => [layer, cka] as const),
    )
    const other = reference === comparison.b ? comparison.a : comparison.b
    return {
      label: reference ? labels.get(other)! : pairLabel(comparison, labels),
      style: styles.get(other)!,
      values: names.map((name) => pairs.get(name)),
    }
  })
  return lineFigure(
    {
      title: reference
        ? `CKA with ${labels.get(reference)!} by layer`
        : 'CKA between corresponding layers',
      subtitle: `Same layer of both networks${compact ? '' : `; label: value in ${names.at(-1)}`}`,
      description:
        'Line chart of CKA between the same layer of two networks, a line for each pair.',
    },
    series,
    layerAxis(names, compact),
    covering(index('CKA', compact), series),
    compact,
  )
}

function pairLabel({ a, b }: CkaComparison, labels: Map<string, string>): string {
  return `${labels.get(a)!} – ${labels.get(b)!}`
}

function objectiveFigure(
  result: StudyResult,
  styles: Styles,
  heading: { title: string; description: string },
  pick: (layer: ObjectiveResult['layers'][number]) => number | null,
  yAxis: YAxis,
  compact: boolean,
): Chart {
  const names = layerNames(result.objectives.map(({ layers }) => layers.map(({ name }) => name)))
  const series = result.objectives.map((objective) => {
    const layers = new Map(objective.layers.map((layer) => [layer.name, layer]))
    return {
      label: objective.label,
      style: styles.get(objective.name)!,
      values: names.map((name) => {
        const layer = layers.get(name)
        if (!layer) return undefined
        const value = pick(layer)
        return isDefined(value) ? value : null
      }),
    }
  })
  return lineFigure(
    {
      ...heading,
      subtitle: analysed(result) + (compact ? '' : `; label: value in ${names.at(-1)}`),
    },
    series,
    layerAxis(names, compact),
    covering(yAxis, series),
    compact,
  )
}

/** The images that the analysis used, as a phrase. */
export function analysed({ analysis, dataset }: StudyResult): string {
  if (!analysis) return dataset.name
  const which = analysis.split === 'test' ? 'held-out' : 'training'
  return `${formatCount(analysis.examples)} ${which} images of ${dataset.name}`
}

export function index(title: string, compact: boolean): YAxis {
  return {
    domain: [0, 1],
    title,
    format: '.1f',
    show: (value) => formatFixed(value, 3),
    showShort: (value) => formatFixed(value, compact ? 2 : 3),
  }
}

/** The axis, widened to tenths where a value lies outside: CKA's unbiased estimator can. */
export function covering(yAxis: YAxis, series: Series[]): YAxis {
  const values = series.flatMap((line) => line.values).filter(isDefined)
  const tenth = yAxis.domain[1] / 10
  const low = Math.min(yAxis.domain[0], Math.floor(Math.min(...values) / tenth) * tenth)
  const high = Math.max(yAxis.domain[1], Math.ceil(Math.max(...values) / tenth) * tenth)
  return values.length === 0 ? yAxis : { ...yAxis, domain: [low, high] }
}

/** Every layer that some list names, in the order of the first list that has it. */
function layerNames(lists: string[][]): string[] {
  return [...new Set(lists.flat())]
}

export function layerAxis(names: string[], compact: boolean): (width: number) => XAxis {
  return (width) => {
    const gap = compact ? 3 : 10
    const stages = layoutLayers(names, 1, 0).stages.length
    const size = (width - gap * (stages - 1)) / names.length
    const layout = layoutLayers(names, size, gap)
    return {
      positions: layout.slots.map(({ centre }) => centre),
      names: layout.slots.map(({ name }) => name),
      ticks: layout.slots.map(({ centre, tick }) => ({ x: centre, text: tick })),
      groups: layout.stages.map(({ name, start, end, blocks }) => ({
        start: start + 2,
        end: end - 2,
        text: name,
        align: blocks === 1 ? 'left' : 'center',
      })),
      boundaries: layout.stages.slice(1).map(({ start }) => start - gap / 2),
      title: 'Layer (block within stage)',
    }
  }
}
