import type { CkaComparison } from '../studyResult.ts'
import type { Chart, Frame } from './chart.ts'
import { frameSpec, headingLayers, px, ruleLayer, textLayer } from './chart.ts'
import { formatCount, formatFixed, isDefined, undefinedText } from './format.ts'
import { type LayerLayout, layoutLayers } from './layerLayout.ts'
import { colours } from './theme.ts'

/** From this CKA upwards viridis is light enough to need dark text (contrast above 4.5 on both sides). */
const lightFrom = 0.45

interface Cell {
  x: number
  y: number
  x2: number
  y2: number
  /** Centre. */
  cx: number
  cy: number
  cka: number | null
  text: string
  tone: string
  description: string
}

/**
 * CKA of every layer of network `a` (upwards) with every layer of network `b` (rightwards), depth
 * growing to the top right. Colour: viridis over the fixed range 0..1, values outside take the end
 * colours; an undefined value is a crossed grey cell. The wide form prints every value in its cell.
 */
export function ckaHeatMap(
  comparison: CkaComparison,
  labels: { a: string; b: string },
  compact: boolean,
): Chart {
  const size = compact ? 16 : 30
  const gap = compact ? 2 : 4
  const columns = layoutLayers(comparison.layersB, size, gap)
  const rows = layoutLayers(comparison.layersA, size, gap)
  const frame: Frame = {
    width: columns.length,
    height: rows.length,
    padding: compact
      ? { left: 76, right: 20, top: 84, bottom: 56 }
      : { left: 108, right: 38, top: 98, bottom: 72 },
  }
  const cells = comparison.matrix.flatMap((row, i) =>
    row.map((cka, j) => cellOf(cka, rows, i, columns, j, size - 1)),
  )
  const undefinedCells = cells.filter((cell) => cell.cka === null)
  const subtitle = `${capitalised(comparison.estimator)} minibatch estimate, ${formatCount(comparison.n)} images in ${formatCount(comparison.batches)} ${comparison.batches === 1 ? 'batch' : 'batches'}`
  return {
    description: `Heat map of CKA between the layers of ${labels.a} (rows) and ${labels.b} (columns).`,
    spec: {
      ...frameSpec(frame),
      layer: [
        ...headingLayers(frame, `CKA: ${labels.a} and ${labels.b}`, subtitle, compact),
        ...legend(frame, undefinedCells.length > 0, compact),
        cellLayer(cells, frame, compact),
        ...crossOut(undefinedCells),
        ...(compact ? [] : valueLayers(cells.filter((cell) => cell.cka !== null))),
        ...columnAxis(columns, frame, labels.b, compact),
        ...rowAxis(rows, frame, labels.a, compact),
      ],
    },
  }
}

function cellOf(
  value: number | null,
  rows: LayerLayout,
  i: number,
  columns: LayerLayout,
  j: number,
  size: number,
): Cell {
  const row = rows.slots[i]!
  const column = columns.slots[j]!
  const x = column.start
  const y = rows.length - row.start - size
  const cka = isDefined(value) ? value : null
  return {
    x,
    y,
    x2: x + size,
    y2: y + size,
    cx: x + size / 2,
    cy: y + size / 2,
    cka,
    text: formatFixed(cka, 2).replace(/^(-?)0\./, '$1.'),
    tone: cka !== null && cka >= lightFrom ? colours.onLightCell : colours.onDarkCell,
    description: `${row.name} and ${column.name}: CKA ${formatFixed(cka, 3)}`,
  }
}

function cellLayer(cells: Cell[], frame: Frame, compact: boolean) {
  const length = compact ? 120 : 160
  return {
    data: { values: cells },
    mark: { type: 'rect' },
    encoding: {
      ...px,
      description: { field: 'description' },
      color: {
        condition: { test: 'datum.cka === null', value: colours.undefinedFill },
        field: 'cka',
        type: 'quantitative',
        scale: { scheme: 'viridis', domain: [0, 1], clamp: true },
        legend: {
          orient: 'none',
          direction: 'horizontal',
          legendX: frame.width - length - 1,
          legendY: compact ? -32 : -42,
          title: null,
          gradientLength: length,
          gradientThickness: compact ? 8 : 10,
          values: [0, 0.25, 0.5, 0.75, 1],
          format: '.2~f',
          labelFontSize: compact ? 9 : 11,
          labelColor: colours.muted,
          labelOffset: 3,
        },
      },
    },
  } as const
}

/** The words beside the colour bar, which vega draws, and the key to undefined cells. */
function legend(frame: Frame, withUndefined: boolean, compact: boolean) {
  const length = compact ? 120 : 160
  const y = compact ? -28 : -37
  const size = compact ? 10 : 12
  const word = textLayer([{ x: frame.width - length - 8, y, text: 'CKA' }], {
    align: 'right',
    size,
  })
  if (!withUndefined) return [word]
  const box = { x: 0, y: y - 6, x2: 12, y2: y + 6 }
  return [
    word,
    {
      data: { values: [box] },
      mark: { type: 'rect', aria: false, color: colours.undefinedFill },
      encoding: px,
    } as const,
    ...crossOut([box]),
    textLayer([{ x: 17, y, text: undefinedText }], { align: 'left', size, colour: colours.muted }),
  ]
}

function crossOut(boxes: { x: number; y: number; x2: number; y2: number }[]) {
  if (boxes.length === 0) return []
  const inset = 3
  const lines = boxes.flatMap(({ x, y, x2, y2 }) => [
    { x: x + inset, y: y + inset, x2: x2 - inset, y2: y2 - inset },
    { x: x + inset, y: y2 - inset, x2: x2 - inset, y2: y + inset },
  ])
  return [ruleLayer(lines, colours.undefinedStroke)]
}

function valueLayers(cells: Cell[]) {
  return [colours.onDarkCell, colours.onLightCell].map((tone) =>
    textLayer(
      cells
        .filter((cell) => cell.tone === tone)
        .map(({ cx, cy, text }) => ({ x: cx, y: cy, text })),
      { size: 9.5, colour: tone },
    ),
  )
}

function columnAxis(layout: LayerLayout, frame: Frame, title: string, compact: boolean) {
  const size = compact ? 9 : 11
  const y = frame.height
  return [
    textLayer(
      layout.slots.map(({ centre, tick }) => ({
        x: centre,
        y: y + (compact ? 7 : 10),
        text: tick,
      })),
      { size, colour: colours.muted },
    ),
    ruleLayer(
      layout.stages.map(({ start, end }) => ({
        x: start + 1,
        x2: end - 2,
        y: y + (compact ? 14 : 19),
        y2: y + (compact ? 14 : 19),
      })),
      colours.axis,
    ),
    // A lone layer's name is wider than its column and would run into its neighbour's: it goes right.
    ...[true, false].map((single) =>
      textLayer(
        layout.stages
          .filter((stage) => (stage.blocks === 1) === single)
          .map(({ name, start, end }) => ({
            x: single ? start : (start + end) / 2,
            y: y + (compact ? 22 : 29),
            text: name,
          })),
        { size, colour: colours.muted, align: single ? 'left' : 'center' },
      ),
    ),
    textLayer([{ x: frame.width / 2, y: y + (compact ? 42 : 54), text: `${title}, layer` }], {
      size: compact ? 11 : 13,
      limit: frame.width,
    }),
  ]
}

function rowAxis(layout: LayerLayout, frame: Frame, title: string, compact: boolean) {
  const size = compact ? 9 : 11
  const up = (position: number) => frame.height - position
  return [
    textLayer(
      layout.slots.map(({ centre, tick }) => ({
        x: compact ? -6 : -10,
        y: up(centre),
        text: tick,
      })),
      { size, colour: colours.muted },
    ),
    ruleLayer(
      layout.stages.map(({ start, end }) => ({
        x: compact ? -13 : -19,
        x2: compact ? -13 : -19,
        y: up(start + 2),
        y2: up(end - 1),
      })),
      colours.axis,
    ),
    textLayer(
      layout.stages.map(({ name, start, end }) => ({
        x: compact ? -17 : -25,
        y: up((start + end) / 2),
        text: name,
      })),
      { size, colour: colours.muted, align: 'right' },
    ),
    textLayer([{ x: compact ? -66 : -92, y: frame.height / 2, text: `${title}, layer` }], {
      size: compact ? 11 : 13,
      angle: 270,
      limit: frame.height,
    }),
  ]
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
