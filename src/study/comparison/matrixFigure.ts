import { type Chart, type Frame, frameSpec, headingLayers, px, textLayer } from '../report/chart.ts'
import { formatFixed, isDefined } from '../report/format.ts'
import { colours } from '../report/theme.ts'

/** From this value upwards viridis is light enough to need dark text. */
const lightFrom = 0.45

/** Values 0..1 of every pair of some things, as a heat map with its numbers; null is grey. */
export function matrixFigure(
  heading: { title: string; subtitle: string; description: string },
  labels: readonly string[],
  values: readonly (readonly (number | null)[])[],
  compact: boolean,
): Chart {
  const size = compact ? 26 : 44
  const longest = Math.max(...labels.map((label) => label.length))
  const left = Math.ceil(longest * 0.58 * (compact ? 9 : 11)) + 14
  const frame: Frame = {
    width: labels.length * size,
    height: labels.length * size,
    padding: { left, right: 24, top: compact ? 52 : 62, bottom: left },
  }
  const cells = values.flatMap((row, i) =>
    row.map((value, j) => ({
      x: j * size,
      x2: (j + 1) * size - 1,
      y: i * size,
      y2: (i + 1) * size - 1,
      value,
      text: { x: (j + 0.5) * size, y: (i + 0.5) * size, text: formatFixed(value, 2) },
      description: `${labels[i]} and ${labels[j]}: ${formatFixed(value, 3)}`,
    })),
  )
  const textSize = compact ? 8.5 : 12
  const textOf = (isLight: boolean) =>
    cells
      .filter(({ value }) => isDefined(value) && value >= lightFrom === isLight)
      .map(({ text }) => ({ ...text, text: text.text.replace(/^(-?)0\./, '$1.') }))
  return {
    description: heading.description,
    spec: {
      ...frameSpec(frame),
      layer: [
        ...headingLayers(frame, heading.title, heading.subtitle, compact),
        {
          data: { values: cells.map(({ text: _, ...cell }) => cell) },
          mark: { type: 'rect' },
          encoding: {
            ...px,
            description: { field: 'description' },
            color: {
              condition: { test: 'datum.value === null', value: colours.undefinedFill },
              field: 'value',
              type: 'quantitative',
              scale: { scheme: 'viridis', domain: [0, 1], clamp: true },
              legend: null,
            },
          },
        },
        textLayer(textOf(true), { size: textSize, colour: colours.onLightCell }),
        textLayer(textOf(false), { size: textSize, colour: colours.onDarkCell }),
        textLayer(
          labels.map((text, i) => ({ x: -8, y: (i + 0.5) * size, text })),
          { align: 'right', size: compact ? 9 : 11 },
        ),
        ...labels.map((text, j) =>
          textLayer([{ x: (j + 0.5) * size, y: frame.height + 8, text }], {
            align: 'right',
            angle: 270,
            size: compact ? 9 : 11,
          }),
        ),
      ],
    },
  }
}
