import type { Chart, Frame } from './chart.ts'
import { frameSpec, headingLayers, px, ruleLayer, textLayer } from './chart.ts'
import { endLabels, labelWidth } from './endLabels.ts'
import { isDefined, undefinedText } from './format.ts'
import type { Series, YAxis } from './series.ts'
import { colours } from './theme.ts'

/** What stands along an x axis of some width: pixel positions and their texts. */
export interface XAxis {
  /** Pixels from the plot's left edge, one a value. */
  positions: number[]
  /** What a value's tooltip calls its position. */
  names: string[]
  ticks: { x: number; text: string }[]
  /** A second row of text below the ticks, each above a line that spans its range. */
  groups: { start: number; end: number; text: string; align: 'left' | 'center' }[]
  /** Dashed vertical lines. */
  boundaries: number[]
  title: string
}

/**
 * Lines with points along a discrete axis. Each line is labelled at its right end with its last value;
 * labels that would touch are moved apart and tied to their points. Undefined values stand as crosses
 * in a strip above the plot, never on the scale.
 */
export function lineFigure(
  heading: { title: string; subtitle: string; description: string },
  series: Series[],
  axisOfWidth: (width: number) => XAxis,
  yAxis: YAxis,
  compact: boolean,
): Chart {
  const left = compact ? 42 : 62
  const right = labelWidth(series, yAxis, compact)
  const width = Math.max((compact ? 384 : 860) - left - right, compact ? 140 : 400)
  const xAxis = axisOfWidth(width)
  const anyUndefined = series.some((line) => line.values.some((value) => value === null))
  const strip = anyUndefined ? (compact ? 16 : 20) : 0
  const frame: Frame = {
    width,
    height: plotHeight(series.length, compact),
    padding: {
      left,
      right,
      top: (compact ? 52 : 60) + strip,
      bottom: titleOffset(xAxis, compact) + (compact ? 11 : 13),
    },
  }
  const stripY = anyUndefined ? -strip / 2 - 4 : 0
  // Last to first, so that the first line, the one that others are compared with, lies on top.
  const points = series.toReversed().flatMap((line, index) =>
    line.values.map((value, i) => ({
      series: index,
      x: xAxis.positions[i]!,
      value,
      shape: line.style.shape,
      colour: line.style.colour,
      description: `${line.label}, ${xAxis.names[i]}: ${isDefined(value) ? yAxis.show(value) : undefinedText}`,
    })),
  )
  return {
    description: heading.description,
    spec: {
      ...frameSpec(frame),
      layer: [
        ...headingLayers(frame, heading.title, heading.subtitle, compact),
        ruleLayer(
          xAxis.boundaries.map((x) => ({ x, x2: x, y: 0, y2: frame.height })),
          colours.axis,
          { dash: [2, 3] },
        ),
        ...xAxisLayers(xAxis, frame, compact),
        textLayer([{ x: compact ? -34 : -46, y: frame.height / 2, text: yAxis.title }], {
          angle: 270,
          size: compact ? 10.5 : 12,
          limit: frame.height + 20,
        }),
        ...lineLayers(points, yAxis, compact),
        ...undefinedStrip(points, stripY, compact),
        ...endLabels(series, xAxis.positions.at(-1)!, yAxis, frame, stripY, compact),
      ],
    },
  }
}

interface Point {
  series: number
  x: number
  value: number | null | undefined
  shape: string
  colour: string
  description: string
}

/** How far below the plot the x axis' title stands. */
function titleOffset(xAxis: XAxis, compact: boolean): number {
  if (xAxis.groups.length === 0) return compact ? 26 : 32
  return compact ? 43 : 53
}

function plotHeight(lines: number, compact: boolean): number {
  return compact ? Math.max(220, lines * 22) : Math.max(260, lines * 34)
}

function lineLayers(points: Point[], yAxis: YAxis, compact: boolean) {
  const encoding = {
    x: px.x,
    y: {
      field: 'value',
      type: 'quantitative',
      scale: { domain: yAxis.domain, nice: false, zero: false },
      axis: {
        title: null,
        format: yAxis.format,
        tickCount: 5,
        labelFontSize: compact ? 9.5 : 11,
        domain: false,
        ticks: false,
        labelPadding: 6,
      },
    },
    color: { field: 'colour', type: 'nominal', scale: null, legend: null },
    detail: { field: 'series', type: 'nominal' },
  } as const
  return [
    {
      data: { values: points.map((point) => ({ ...point, value: point.value ?? null })) },
      mark: {
        type: 'line',
        aria: false,
        strokeWidth: compact ? 1.5 : 2,
        strokeJoin: 'round',
        invalid: 'break-paths-show-domains',
      },
      encoding,
    },
    {
      data: { values: points.filter((point) => isDefined(point.value)) },
      mark: {
        type: 'point',
        filled: true,
        opacity: 1,
        size: compact ? 26 : 52,
        stroke: colours.surface,
        strokeWidth: compact ? 0.7 : 1,
      },
      encoding: {
        ...encoding,
        shape: { field: 'shape', type: 'nominal', scale: null, legend: null },
        description: { field: 'description', type: 'nominal' },
      },
    },
  ] as const
}

function undefinedStrip(points: Point[], y: number, compact: boolean) {
  const missing = points.filter((point) => point.value === null)
  if (missing.length === 0) return []
  // Crosses of several lines at one layer stand beside each other.
  const seen = new Map<number, number>()
  const values = missing.map(({ x, colour, description }) => {
    const rank = seen.get(x) ?? 0
    seen.set(x, rank + 1)
    return { x: x + rank * 5, y, colour, description }
  })
  return [
    textLayer([{ x: compact ? -34 : -54, y, text: undefinedText }], {
      size: compact ? 9 : 11,
      align: 'left',
      colour: colours.muted,
    }),
    {
      data: { values },
      mark: { type: 'point', shape: 'cross', filled: true, opacity: 1, angle: 45, size: 44 },
      encoding: {
        x: px.x,
        y: px.y,
        color: { field: 'colour', type: 'nominal', scale: null, legend: null },
        description: { field: 'description', type: 'nominal' },
      },
    } as const,
  ]
}

function xAxisLayers(xAxis: XAxis, frame: Frame, compact: boolean) {
  const y = frame.height
  const size = compact ? 9 : 11
  const lineY = y + (compact ? 16 : 21)
  return [
    ruleLayer([{ x: 0, x2: frame.width, y, y2: y }], colours.axis),
    textLayer(
      xAxis.ticks.map(({ x, text }) => ({ x, y: y + (compact ? 9 : 12), text })),
      { size, colour: colours.muted },
    ),
    ruleLayer(
      xAxis.groups.map(({ start, end }) => ({ x: start, x2: end, y: lineY, y2: lineY })),
      colours.axis,
    ),
    ...(['left', 'center'] as const).map((align) =>
      textLayer(
        xAxis.groups
          .filter((group) => group.align === align)
          .map(({ start, end, text }) => ({
            x: align === 'left' ? start : (start + end) / 2,
            y: lineY + (compact ? 8 : 10),
            text,
          })),
        { size, colour: colours.muted, align },
      ),
    ),
    textLayer([{ x: frame.width / 2, y: y + titleOffset(xAxis, compact), text: xAxis.title }], {
      size: compact ? 10.5 : 12,
    }),
  ]
}
