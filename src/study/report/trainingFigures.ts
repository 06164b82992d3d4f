import type { ObjectiveResult, StudyResult } from '../studyResult.ts'
import { type Chart, chartConfig, px, textLayer } from './chart.ts'
import { formatCount, formatFixed, isDefined } from './format.ts'
import { lineFigure, type XAxis } from './lineFigure.ts'
import { colours, type SeriesStyle } from './theme.ts'

type Styles = Map<string, SeriesStyle>

/** Training loss by epoch, a small plot an objective, each with its own scale. */
export function lossFigure(result: StudyResult, styles: Styles, compact: boolean): Chart {
  const columns = Math.min(result.objectives.length, compact ? 2 : 3)
  const width = compact ? 146 : columns === 3 ? 218 : 350
  const epochs = lastEpoch(result)
  return {
    description: 'Line charts of the mean training loss by epoch, one for each objective.',
    spec: {
      background: colours.surface,
      padding: { left: 8, right: 12, top: 10, bottom: 8 },
      config: {
        ...chartConfig,
        title: {
          anchor: 'start',
          frame: 'bounds',
          font: chartConfig.font,
          subtitleFont: chartConfig.font,
          color: colours.ink,
          subtitleColor: colours.muted,
          fontSize: compact ? 13 : 15,
          subtitleFontSize: compact ? 10.5 : 12,
          fontWeight: 600,
          offset: 30,
          subtitlePadding: 6,
        },
      },
      title: {
        text: 'Training loss by epoch',
        subtitle: `${compact ? 'Each' : 'Mean over each epoch; each'} plot has its own scale`,
      },
      columns,
      spacing: { row: compact ? 62 : 74, column: compact ? 40 : 62 },
      bounds: 'flush',
      concat: result.objectives.map((objective) => ({
        width,
        height: compact ? 84 : 120,
        layer: [...lossLayers(objective, styles.get(objective.name)!, epochs, width, compact)],
      })),
    },
  }
}

function lossLayers(
  { label, history }: ObjectiveResult,
  { colour, shape }: SeriesStyle,
  epochs: number,
  width: number,
  compact: boolean,
) {
  const size = compact ? 9.5 : 11
  const points = history.map(({ epoch, loss }) => ({
    epoch,
    loss: isDefined(loss) ? loss : null,
    description: `${label}, epoch ${epoch}: loss ${formatFixed(loss, 4)}`,
  }))
  const largest = Math.max(0, ...points.map(({ loss }) => loss ?? 0))
  const epochDomain: number[] = [Math.min(1, epochs - 1), epochs]
  const lossDomain: number[] = [0, largest || 1]
  const encoding = {
    x: {
      field: 'epoch',
      type: 'quantitative',
      scale: { domain: epochDomain, nice: false, zero: false, padding: 5 },
      axis: {
        title: 'Epoch',
        values: epochTicks(epochs, compact ? 6 : 10),
        format: 'd',
        grid: false,
        labelFontSize: size,
        titleFontSize: size,
        tickSize: 3,
        labelFlush: false,
      },
    },
    y: {
      field: 'loss',
      type: 'quantitative',
      scale: { domain: lossDomain, nice: 3 },
      axis: {
        title: null,
        tickCount: 3,
        labelFontSize: size,
        domain: false,
        ticks: false,
        labelPadding: 5,
        format: '~r',
      },
    },
  } as const
  return [
    textLayer([{ x: 12, y: -12, text: label }], {
      align: 'left',
      size: compact ? 11 : 12.5,
      limit: width - 12,
    }),
    {
      data: { values: [{ x: 4, y: -12 }] },
      mark: {
        type: 'point',
        aria: false,
        filled: true,
        opacity: 1,
        shape,
        color: colour,
        size: compact ? 30 : 44,
      },
      encoding: { x: px.x, y: px.y },
    },
    {
      data: { values: points },
      mark: {
        type: 'line',
        aria: false,
        color: colour,
        strokeWidth: compact ? 1.5 : 2,
        invalid: 'break-paths-show-domains',
      },
      encoding,
    },
    {
      data: { values: points.filter(({ loss }) => loss !== null) },
      mark: {
        type: 'point',
        filled: true,
        opacity: 1,
        shape,
        color: colour,
        size: compact ? 16 : 30,
        stroke: colours.surface,
        strokeWidth: 0.7,
      },
      encoding: { ...encoding, description: { field: 'description', type: 'nominal' } },
    },
  ] as const
}

/** Top-1 by epoch, a line an objective; undefined where no objective was evaluated during training. */
export function top1Figure(
  result: StudyResult,
  styles: Styles,
  compact: boolean,
): Chart | undefined {
  const values = result.objectives.flatMap(({ history }) => history.map(({ top1 }) => top1))
  const measured = values.filter(isDefined).map((share) => share * 100)
  if (measured.length === 0) return undefined
  const epochs = lastEpoch(result)
  const low = Math.max(0, Math.floor(Math.min(...measured) / 5) * 5)
  const high = Math.min(100, Math.ceil(Math.max(...measured) / 5) * 5)
  return lineFigure(
    {
      title: 'Top-1 accuracy by epoch',
      subtitle: `${formatCount(result.dataset.test)} held-out images${compact ? '' : '; label: value after the last epoch'}`,
      description: 'Line chart of held-out top-1 accuracy by epoch, a line for each objective.',
    },
    result.objectives.map(({ name, label, history }) => {
      const byEpoch = new Map(history.map(({ epoch, top1 }) => [epoch, top1]))
      return {
        label,
        style: styles.get(name)!,
        values: Array.from({ length: epochs }, (_, i) => {
          const share = byEpoch.get(i + 1)
          return isDefined(share) ? share * 100 : undefined
        }),
      }
    }),
    epochAxis(epochs, compact),
    {
      domain: high > low ? [low, high] : [low - 5, low],
      title: 'Top-1 accuracy (%)',
      format: 'd',
      show: (value) => `${formatFixed(value, 1)} %`,
      showShort: (value) => `${formatFixed(value, 1)} %`,
    },
    compact,
  )
}

/** Epochs from 1 on. */
export function epochAxis(epochs: number, compact: boolean): (width: number) => XAxis {
  return (width) => {
    const inset = compact ? 8 : 14
    const at = (epoch: number) =>
      epochs === 1 ? width / 2 : inset + ((epoch - 1) / (epochs - 1)) * (width - 2 * inset)
    const all = Array.from({ length: epochs }, (_, i) => i + 1)
    return {
      positions: all.map(at),
      names: all.map((epoch) => `epoch ${epoch}`),
      ticks: epochTicks(epochs, compact ? 6 : 12).map((x) => ({ x: at(x), text: `${x}` })),
      groups: [],
      boundaries: [],
      title: 'Epoch',
    }
  }
}

function lastEpoch(result: StudyResult): number {
  const epochs = result.objectives.flatMap(({ history }) => history.map((row) => row.epoch))
  return Math.ceil(Math.max(1, ...epochs))
}

/** At most about `most` epochs, evenly spaced, the last one among them. */
function epochTicks(epochs: number, most: number): number[] {
  const steps = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000]
  const step = steps.find((size) => epochs / size <= most) ?? Math.ceil(epochs / most)
  const ticks = step === 1 ? [1] : []
  for (let epoch = step === 1 ? 2 : step; epoch <= epochs; epoch += step) ticks.push(epoch)
  return ticks
}
