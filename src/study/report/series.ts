import type { SeriesStyle } from './theme.ts'

/** One line of a figure. */
export interface Series {
  label: string
  style: SeriesStyle
  /**
   * One value an x position: null where it is undefined, `undefined` where nothing was measured. Both
   * break the line; only the first is marked.
   */
  values: (number | null | undefined)[]
}

export interface YAxis {
  domain: [number, number]
  title: string
  /** d3-format of the tick labels. */
  format: string
  /** A value as tooltips print it. */
  show: (value: number) => string
  /** A value as the label at a line's end prints it. */
  showShort: (value: number) => string
}
