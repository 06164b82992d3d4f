import type { Frame } from './chart.ts'
import { px, textLayer } from './chart.ts'
import { isDefined, undefinedText } from './format.ts'
import { placeLabels } from './labelPlacement.ts'
import type { Series, YAxis } from './series.ts'

/** Room to the right of the plot, in pixels: text is taken to be 0.56 of its size wide a character, on the safe side. */
export function labelWidth(series: Series[], yAxis: YAxis, compact: boolean): number {
  // At least seven characters of value, so that figures of the same lines have plots of the same width.
  const longest = Math.max(
    ...series.map((line) => Math.max(endText(line, yAxis).length, line.label.length + 7)),
  )
  return Math.ceil((compact ? 22 : 40) + longest * 0.56 * (compact ? 10 : 12.5))
}

function endText(line: Series, yAxis: YAxis): string {
  const last = lastMeasured(line)
  return `${line.label} ${isDefined(last) ? yAxis.showShort(last) : undefinedText}`
}

function lastMeasured(line: Series): number | null | undefined {
  return line.values.findLast((value) => value !== undefined)
}

/**
 * Name and last value beside the end of each line (`end`, pixels), tied to it by a thin line. Labels
 * that would touch are moved apart; those of undefined values go to the strip at `stripY`.
 */
export function endLabels(
  series: Series[],
  end: number,
  yAxis: YAxis,
  frame: Frame,
  stripY: number,
  compact: boolean,
) {
  const [low, high] = yAxis.domain
  const wanted = series.map((line) => {
    const last = lastMeasured(line)
    if (!isDefined(last)) return stripY
    return frame.height * (1 - (last - low) / (high - low))
  })
  const placed = placeLabels(wanted, compact ? 14 : 18, Math.min(stripY, 4), frame.height - 4)
  const from = end + (compact ? 5 : 7)
  const to = frame.width + (compact ? 6 : 18)
  const anchors = series.map((line, i) => ({ line, y: placed[i]!, at: wanted[i]! }))
  return [
    {
      data: {
        values: anchors.map(({ line, y, at }) => ({
          x: from,
          x2: to,
          y: at,
          y2: y,
          colour: line.style.colour,
        })),
      },
      mark: { type: 'rule', aria: false, strokeWidth: 0.75, opacity: 0.6 },
      encoding: { ...px, color: { field: 'colour', type: 'nominal', scale: null, legend: null } },
    } as const,
    {
      data: {
        values: anchors.map(({ line, y }) => ({
          x: to + (compact ? 5 : 7),
          y,
          colour: line.style.colour,
          shape: line.style.shape,
        })),
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
      anchors.map(({ line, y }) => ({
        x: to + (compact ? 11 : 15),
        y,
        text: endText(line, yAxis),
      })),
      { align: 'left', size: compact ? 10 : 12.5 },
    ),
  ]
}
