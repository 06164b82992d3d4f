import type { TopLevelSpec } from 'vega-lite'
import { colours, fontFamily } from './theme.ts'

/** A figure: what to draw, and what a reader who cannot see it is told. */
export interface Chart {
  spec: TopLevelSpec
  /** One sentence for assistive software. */
  description: string
}

/** Positions given in pixels of the plot's frame, y downwards: no scale, no axis. */
export const px = {
  x: { field: 'x', type: 'quantitative', scale: null, axis: null },
  x2: { field: 'x2' },
  y: { field: 'y', type: 'quantitative', scale: null, axis: null },
  y2: { field: 'y2' },
} as const

/** A plot's inner size and the space around it for axes and labels, in pixels. */
export interface Frame {
  width: number
  height: number
  padding: { left: number; right: number; top: number; bottom: number }
}

/**
 * What all figures share. The size is fixed, not fitted to measured text: text metrics differ between
 * machines, and the same result must give the same bytes.
 */
export function frameSpec({ width, height, padding }: Frame) {
  return {
    width,
    height,
    padding,
    autosize: { type: 'none' },
    background: colours.surface,
    config: chartConfig,
  } as const
}

export const chartConfig = {
  font: fontFamily,
  view: { stroke: null },
  // Figures handle undefined values themselves; the default filter would drop them before that.
  mark: { invalid: 'show' },
  text: { color: colours.ink, fontSize: 12, font: fontFamily },
  axis: {
    labelColor: colours.muted,
    labelFont: fontFamily,
    titleColor: colours.ink,
    titleFont: fontFamily,
    titleFontWeight: 'normal',
    gridColor: colours.grid,
    domainColor: colours.axis,
    tickColor: colours.axis,
  },
} as const

/** A piece of text placed in pixels of the plot's frame. */
export interface TextItem {
  x: number
  y: number
  text: string
}

type TextMark = {
  align?: 'left' | 'center' | 'right'
  baseline?: 'top' | 'middle' | 'bottom' | 'alphabetic'
  size?: number
  weight?: 'normal' | 'bold' | 600
  colour?: string
  angle?: number
  /** Pixels after which text is cut with an ellipsis. */
  limit?: number
}

// Without a browser vega takes every character to be 0.8 of its size wide; sans-serif text is about 0.6.
const limitScale = 0.8 / 0.6

/** A layer of decorative text: axis labels, headings. */
export function textLayer(values: TextItem[], mark: TextMark = {}) {
  return {
    data: { values },
    mark: {
      type: 'text',
      aria: false,
      align: mark.align ?? 'center',
      baseline: mark.baseline ?? 'middle',
      fontSize: mark.size ?? 12,
      fontWeight: mark.weight ?? 'normal',
      color: mark.colour ?? colours.ink,
      angle: mark.angle ?? 0,
      ...(mark.limit === undefined ? {} : { limit: mark.limit * limitScale }),
    },
    encoding: { x: px.x, y: px.y, text: { field: 'text', type: 'nominal' } },
  } as const
}

/** A layer of decorative straight lines. */
export function ruleLayer(
  values: { x: number; y: number; x2: number; y2: number }[],
  colour: string,
  { width = 1, dash }: { width?: number; dash?: number[] } = {},
) {
  return {
    data: { values },
    mark: {
      type: 'rule',
      aria: false,
      color: colour,
      strokeWidth: width,
      ...(dash ? { strokeDash: dash } : {}),
    },
    encoding: { x: px.x, y: px.y, x2: px.x2, y2: px.y2 },
  } as const
}

/** Title and subtitle, left-aligned with the figure's edge. */
export function headingLayers(frame: Frame, title: string, subtitle: string, compact: boolean) {
  const x = 8 - frame.padding.left
  const top = -frame.padding.top
  const limit = frame.padding.left + frame.width + frame.padding.right - 16
  return [
    textLayer([{ x, y: top + 18, text: title }], {
      align: 'left',
      weight: 600,
      size: compact ? 13 : 15,
      limit,
    }),
    textLayer([{ x, y: top + (compact ? 36 : 38), text: subtitle }], {
      align: 'left',
      size: compact ? 10.5 : 12,
      colour: colours.muted,
      limit,
    }),
  ]
}

/**
 * Draws a figure without a browser. The same chart and id give the same bytes. Marks that carry a
 * description get it as a `title` child, which browsers show on hover without a script.
 */
export async function renderSvg(chart: Chart, id: string): Promise<string> {
  const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')])
  const { spec } = vegaLite.compile(chart.spec)
  const view = new vega.View(vega.parse(spec), { renderer: 'none', logLevel: vega.Error })
  try {
    return tidySvg(await view.toSVG(), id)
  } finally {
    view.finalize()
  }
}

function tidySvg(svg: string, id: string): string {
  // Vega numbers ids by a counter of the process; two figures in one page must not share them either.
  const names = new Map<string, string>()
  const rename = (old: string) => {
    if (!names.has(old)) names.set(old, `${id}-${names.size + 1}`)
    return names.get(old)!
  }
  return svg
    .replace(/<path class="(?:fore|back)ground" aria-hidden="true" d="[^"]*"[^>]*\/>/g, '')
    .replace(/ id="([^"]+)"/g, (_, old: string) => ` id="${rename(old)}"`)
    .replace(/url\(#([^)]+)\)/g, (_, old: string) => `url(#${rename(old)})`)
    .replace(
      /<path aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="[^"]*"([^>]*)\/>/g,
      '<path$2><title>$1</title></path>',
    )
    .replace(/ (?:role="graphics-[a-z]+"|aria-roledescription="[^"]*")/g, '')
}

/** A figure's SVG as PNG at twice its size in pixels. */
export async function renderPng(svg: string): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp')
  return await sharp(Buffer.from(svg), { density: 144 }).png({ compressionLevel: 9 }).toBuffer()
}

/**
 * Whether PNG figures can show text: without any font installed the renderer draws every character as
 * the same box.
 */
export async function canRenderText(): Promise<boolean> {
  const { default: sharp } = await import('sharp')
  const draw = (text: string) =>
    sharp(
      Buffer.from(
        `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text x="2" y="14" font-family="sans-serif">${text}</text></svg>`,
      ),
    )
      .raw()
      .toBuffer()
  const [wide, narrow] = await Promise.all([draw('MW'), draw('il')])
  return !wide.equals(narrow)
}
