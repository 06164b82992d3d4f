import { type Chart, frameSpec, headingLayers } from './chart.ts'
import { formatCount } from './format.ts'
import { colours, objectiveStyles } from './theme.ts'

const frame = {
  width: 560,
  height: 320,
  padding: { left: 78, right: 24, top: 70, bottom: 56 },
}

/** Points of one curve. */
interface Curve {
  readonly label: string
  readonly x: readonly number[]
  readonly y: readonly number[]
  readonly dashed?: boolean
  /** Curves of one group share a colour. */
  readonly group?: string
}

interface Axis {
  readonly title: string
  readonly log?: boolean
}

/** Curves over a common axis, told apart by colour and dashes, with a legend. */
function curveChart(
  heading: { title: string; subtitle: string; description: string },
  curves: readonly Curve[],
  x: Axis,
  y: Axis,
): Chart {
  const groups = [...new Set(curves.map(({ label, group = label }) => group))]
  const styles = objectiveStyles(groups)
  const values = curves.flatMap(({ label, x: xs, y: ys, dashed, group = label }) =>
    ys.flatMap((value, i) =>
      y.log && value <= 0
        ? []
        : [{ label, group, x: xs[i]!, y: value, dash: dashed ? 'dashed' : 'solid' }],
    ),
  )
  const axisOf = ({ title, log }: Axis) =>
    ({
      type: 'quantitative',
      title,
      scale: log ? ({ type: 'log' } as const) : ({ zero: false, nice: false } as const),
      axis: { labelFontSize: 11, titleFontSize: 12, tickCount: 6, domain: false, ticks: false },
    }) as const
  return {
    description: heading.description,
    spec: {
      ...frameSpec(frame),
      layer: [
        ...headingLayers(frame, heading.title, heading.subtitle, false),
        {
          data: { values },
          mark: { type: 'line', aria: false, strokeWidth: 1.8 },
          encoding: {
            x: { field: 'x', ...axisOf(x) },
            y: { field: 'y', ...axisOf(y) },
            detail: { field: 'label', type: 'nominal' },
            color: {
              field: 'group',
              type: 'nominal',
              scale: { domain: groups, range: groups.map((name) => styles.get(name)!.colour) },
              legend: {
                title: null,
                orient: 'top-right',
                labelColor: colours.ink,
                labelFontSize: 11,
                symbolType: 'stroke',
              },
            },
            strokeDash: {
              field: 'dash',
              type: 'nominal',
              scale: {
                domain: ['solid', 'dashed'],
                range: [
                  [1, 0],
                  [5, 4],
                ],
              },
              legend: null,
            },
          },
        },
      ],
    },
  }
}

/** Singular values by rank, over the largest, on a logarithmic scale (as Figure E.2). */
export function spectrumChart(
  spectra: readonly { label: string; singularValues: readonly number[]; resolution: number }[],
): Chart {
  return curveChart(
    {
      title: 'Singular values',
      subtitle: 'over the largest one of each matrix; those within float32 rounding left out',
      description: `Singular values by rank of ${spectra.map(({ label }) => label).join(', ')}.`,
    },
    spectra.map(({ label, singularValues, resolution }) => {
      const shown = singularValues.filter((value) => value > resolution)
      return {
        label,
        x: shown.map((_, i) => i + 1),
        y: shown.map((value) => value / shown[0]!),
      }
    }),
    { title: 'rank' },
    { title: 'singular value / largest', log: true },
  )
}
/** Densities of distances within (solid) and between (dashed) classes (as Figure E.3). */
export function distanceChart(
  layers: readonly {
    label: string
    at: readonly number[]
    within: readonly number[] | null
    between: readonly number[] | null
    pairs: { within: number; between: number }
  }[],
): Chart {
  const pairs = layers[0]!.pairs
  return curveChart(
    {
      title: 'Cosine distances between examples',
      subtitle: `within a class (solid, ${formatCount(pairs.within)} pairs) and between classes (dashed, ${formatCount(pairs.between)})`,
      description: `Densities of cosine distances within and between classes of ${layers.map(({ label }) => label).join(', ')}.`,
    },
    layers.flatMap(({ label, at, within, between }) => [
      { label: `${label}, within`, group: label, x: at, y: within ?? [] },
      { label: `${label}, between`, group: label, x: at, y: between ?? [], dashed: true },
    ]),
    { title: 'cosine distance' },
    { title: 'density' },
  )
}

/** Density of angular visual hardness (as Figure E.1). */
export function hardnessChart(density: {
  at: readonly number[]
  density: readonly number[]
}): Chart {
  return curveChart(
    {
      title: 'Angular visual hardness',
      subtitle: 'angle to the own class over the sum of the angles to all classes',
      description: 'Density of angular visual hardness.',
    },
    [{ label: 'examples', x: density.at, y: density.density }],
    { title: 'angular visual hardness' },
    { title: 'density' },
  )
}
