/**
 * Colours and type of the figures. An SVG carries the light colours; a page that embeds it maps each
 * of them to its dark counterpart with a style rule (darkModeRules), so that one picture serves both.
 */
export const colours = {
  surface: '#ffffff',
  ink: '#1f2328',
  muted: '#5b6570',
  axis: '#a5adb6',
  grid: '#e6e9ed',
  /** Where a value is undefined. */
  undefinedFill: '#e1e4e8',
  undefinedStroke: '#99a1ab',
  /** Text on a heat map's cell: not mapped, as the cell's colour stays. */
  onDarkCell: '#fdfdfd',
  onLightCell: '#0b0b0b',
} as const

const dark: Record<string, string> = {
  [colours.surface]: '#14171a',
  [colours.ink]: '#e8eaed',
  [colours.muted]: '#a0a8b2',
  [colours.axis]: '#5c656e',
  [colours.grid]: '#2a2f35',
  [colours.undefinedFill]: '#31373d',
  [colours.undefinedStroke]: '#6b747e',
}

/** The surface and text colours that the page around the figures uses. */
export const page = {
  light: { surface: colours.surface, ink: colours.ink, muted: colours.muted, line: '#d9dde2' },
  dark: {
    surface: dark[colours.surface]!,
    ink: dark[colours.ink]!,
    muted: dark[colours.muted]!,
    line: '#343a41',
  },
}

export const fontFamily =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif'

/** How an objective is drawn, the same in every figure of every report. */
export interface SeriesStyle {
  colour: string
  /** The same hue on a dark page. */
  dark: string
  /** A vega symbol: shape repeats what colour says, for readers who cannot tell two hues apart. */
  shape: string
}

const diagonalCross = 'M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z'

/**
 * The baseline is drawn in ink, what is compared with it in colour. The hues were searched for the
 * largest least distance between any two under normal sight, protanopia, deuteranopia and (weighted
 * less) tritanopia, at a contrast of 3 or more with the page.
 */
const styleByObjective: Record<string, SeriesStyle> = {
  softmax: { colour: colours.ink, dark: dark[colours.ink]!, shape: 'circle' },
  'squared-error': { colour: '#c3230a', dark: '#e0553a', shape: 'square' },
  'label-smoothing': { colour: '#0643b1', dark: '#4c9be6', shape: 'triangle-up' },
  dropout: { colour: '#017db4', dark: '#8fc9f1', shape: 'diamond' },
  'extra-l2': { colour: '#1ca690', dark: '#55e08a', shape: 'triangle-down' },
  'logit-penalty': { colour: '#b8881c', dark: '#e39a12', shape: 'cross' },
  'logit-norm': { colour: '#721e68', dark: '#b6559a', shape: 'triangle-right' },
  'cosine-softmax': { colour: '#9185fe', dark: '#7c66e6', shape: 'triangle-left' },
  sigmoid: { colour: '#6f6268', dark: '#9c9b8f', shape: diagonalCross },
}

const spareStyles: SeriesStyle[] = Object.values(styleByObjective).slice(1)

/**
 * The style of each objective, by name. The nine objectives of the paper have fixed ones; others take,
 * in order, those that no objective of this study uses.
 */
export function objectiveStyles(names: readonly string[]): Map<string, SeriesStyle> {
  const taken = new Set(names.map((name) => styleByObjective[name]))
  const spare = spareStyles.filter((style) => !taken.has(style))
  const styles = new Map<string, SeriesStyle>()
  let next = 0
  for (const name of names) {
    const known = Object.hasOwn(styleByObjective, name) ? styleByObjective[name] : undefined
    const pool = spare.length > 0 ? spare : spareStyles
    styles.set(name, known ?? pool[next++ % pool.length]!)
  }
  return styles
}

/** CSS declarations for the inside of a figure on a dark page: one rule a mapped colour. */
export function darkModeRules(selector: string): string {
  const pairs = Object.entries(dark)
  for (const style of Object.values(styleByObjective)) pairs.push([style.colour, style.dark])
  return [...new Map(pairs)]
    .map(
      ([light, night]) =>
        `${selector} [fill="${light}"]{fill:${night}}${selector} [stroke="${light}"]{stroke:${night}}`,
    )
    .join('\n')
}
