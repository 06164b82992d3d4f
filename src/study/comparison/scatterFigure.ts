import { type Chart, type Frame, frameSpec, headingLayers, px, textLayer } from '../report/chart.ts'
import { formatFixed } from '../report/format.ts'
import { placeLabels } from '../report/labelPlacement.ts'
import { colours, type SeriesStyle } from '../report/theme.ts'

/** Points of one objective, or of one value of a sweep. */
export interface PointGroup {
  readonly label: string
  readonly style: SeriesStyle
  /** One a run. */
  readonly points: readonly { readonly x: number; readonly y: number }[]
  /** With the half width of a bar in each direction, where it is known. */
  readonly mean: {
    readonly x: number
    readonly y: number
    readonly dx?: number
    readonly dy?: number
  }
}

export interface ScatterAxis {
  readonly title: string
  readonly show: (value: number) => string
}

/** Runs as small points and their means as large ones with bars of a standard error; labels at the right. */
export function scatterFigure(
  heading: { title: string; subtitle: string; description: string },
  groups: readonly PointGroup[],
  xAxis: ScatterAxis,
  yAxis: ScatterAxis,
  compact: boolean,
): Chart {
  const longest = Math.max(...groups.map(({ label }) => label.length))
  const right = (compact ? 20 : 40) + longest * 0.56 * (compact ? 10 : 12.5)
  const left = compact ? 46 : 62
  const frame: Frame = {
    width: (compact ? 384 : 760) - left - right,
    height: compact ? 230 : 340,
    padding: { left, right, top: compact ? 52 : 62, bottom: compact ? 44 : 52 },
  }
  const x = scaleOf(
    groups.flatMap((group) => extent(group, 'x', 'dx')),
    frame.width,
  )
  const y = scaleOf(
    groups.flatMap((group) => extent(group, 'y', 'dy')),
    frame.height,
  )
  const yAt = (value: number) => frame.height - y.at(value)
  const describe = (label: string, at: { x: number; y: number }) =>
    `${label}: ${xAxis.title} ${xAxis.show(at.x)}, ${yAxis.title} ${yAxis.show(at.y)}`
  const dots = groups.flatMap(({ label, style, points }) =>
    points.map((point) => ({
      x: x.at(point.x),
      y: yAt(point.y),
      colour: style.colour,
      shape: style.shape,
      description: describe(label, point),
    })),
  )
  const means = groups.map(({ label, style, mean }) => ({
    x: x.at(mean.x),
    y: yAt(mean.y),
    colour: style.colour,
    shape: style.shape,
    description: `Mean of ${describe(label, mean)}`,
  }))
  const bars = groups.flatMap(({ style: { colour }, mean }) => {
    const { dx = 0, dy = 0 } = mean
    const [cx, cy] = [x.at(mean.x), yAt(mean.y)]
    return [
      { x: x.at(mean.x - dx), x2: x.at(mean.x + dx), y: cy, y2: cy, colour },
      { x: cx, x2: cx, y: yAt(mean.y - dy), y2: yAt(mean.y + dy), colour },
    ]
  })
  const size = compact ? 9.5 : 11
  return {
    description: heading.description,
    spec: {
      ...frameSpec(frame),
      layer: [
        ...headingLayers(frame, heading.title, heading.subtitle, compact),
        gridLayer(
          x.ticks.map((tick) => ({ x: x.at(tick), x2: x.at(tick), y: 0, y2: frame.height })),
        ),
        gridLayer(y.ticks.map((tick) => ({ x: 0, x2: frame.width, y: yAt(tick), y2: yAt(tick) }))),
        textLayer(
          x.ticks.map((tick) => ({ x: x.at(tick), y: frame.height + 12, text: xAxis.show(tick) })),
          { size, colour: colours.muted },
        ),
        textLayer(
          y.ticks.map((tick) => ({ x: -8, y: yAt(tick), text: yAxis.show(tick) })),
          { size, colour: colours.muted, align: 'right' },
        ),
        textLayer(
          [{ x: frame.width / 2, y: frame.height + (compact ? 30 : 36), text: xAxis.title }],
          {
            size: size + 1,
          },
        ),
        textLayer([{ x: compact ? -38 : -52, y: frame.height / 2, text: yAxis.title }], {
          angle: 270,
          size: size + 1,
          limit: frame.height + 20,
        }),
        ...markLayers(dots, means, bars, compact),
        ...labelLayers(groups, means, frame, compact),
      ],
    },
  }
}

function extent(
  { points, mean }: PointGroup,
  axis: 'x' | 'y',
  bar: 'dx' | 'dy',
): readonly number[] {
  const half = mean[bar] ?? 0
  return [...points.map((point) => point[axis]), mean[axis] - half, mean[axis] + half]
}

/** Pixels of a value, and round values to mark. */
function scaleOf(values: readonly number[], pixels: number) {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const room = (most - least || Math.abs(most) || 1) * 0.06
  const [low, high] = [least - room, most + room]
  const rough = (high - low) / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10)
  const ticks: number[] = []
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step)
  return { at: (value: number) => ((value - low) / (high - low)) * pixels, ticks }
}

interface Segment {
  x: number
  x2: number
  y: number
  y2: number
}

function gridLayer(values: readonly Segment[]) {
  return {
    data: { values: [...values] },
    mark: { type: 'rule', aria: false, color: colours.grid, strokeWidth: 1 },
    encoding: px,
  } as const
}

interface Dot {
  x: number
  y: number
  colour: string
  shape: string
  description: string
}

function markLayers(
  dots: readonly Dot[],
  means: readonly Dot[],
  bars: readonly (Segment & { colour: string })[],
  compact: boolean,
) {
  const colour = { field: 'colour', type: 'nominal', scale: null, legend: null } as const
  const encoding = {
    x: px.x,
    y: px.y,
    color: colour,
    shape: { field: 'shape', type: 'nominal', scale: null, legend: null },
    description: { field: 'description', type: 'nominal' },
  } as const
  return [
    {
      data: { values: [...dots] },
      mark: { type: 'point', filled: true, opacity: 0.45, size: compact ? 14 : 24 },
      encoding,
    },
    {
      data: { values: [...bars] },
      mark: { type: 'rule', aria: false, strokeWidth: 1.2 },
      encoding: { ...px, color: colour },
    },
    {
      data: { values: [...means] },
      mark: {
        type: 'point',
        filled: true,
        opacity: 1,
        size: compact ? 40 : 80,
        stroke: colours.surface,
        strokeWidth: 1,
      },
      encoding,
    },
  ] as const
}

/** Names at the right edge, each tied to its mean. */
function labelLayers(
  groups: readonly PointGroup[],
  means: readonly Dot[],
  frame: Frame,
  compact: boolean,
) {
  const placed = placeLabels(
    means.map(({ y }) => y),
    compact ? 14 : 18,
    4,
    frame.height - 4,
  )
  const at = frame.width + (compact ? 6 : 14)
  return [
    {
      data: {
        values: means.map(({ x, y, colour }, i) => ({ x, x2: at, y, y2: placed[i]!, colour })),
      },
      mark: { type: 'rule', aria: false, strokeWidth: 0.6, opacity: 0.35 },
      encoding: { ...px, color: { field: 'colour', type: 'nominal', scale: null, legend: null } },
    } as const,
    {
      data: {
        values: means.map(({ colour, shape }, i) => ({ x: at + 5, y: placed[i]!, colour, shape })),
      },
      mark: { type: 'point', aria: false, filled: true, opacity: 1, size: compact ? 26 : 48 },
      encoding: {
        x: px.x,
        y: px.y,
        color: { field: 'colour', type: 'nominal', scale: null, legend: null },
        shape: { field: 'shape', type: 'nominal', scale: null, legend: null },
      },
    } as const,
    textLayer(
      groups.map(({ label }, i) => ({ x: at + 13, y: placed[i]!, text: label })),
      { align: 'left', size: compact ? 10 : 12.5 },
    ),
  ]
}

/** An axis of per cent. */
export function percentAxis(title: string): ScatterAxis {
  return { title, show: (value) => String(Number(value.toFixed(1))) }
}

/** An axis of values between 0 and 1. */
export function indexAxis(title: string): ScatterAxis {
  return { title, show: (value) => formatFixed(value, 2) }
}
