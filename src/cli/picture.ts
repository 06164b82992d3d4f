import { writeFileWhole } from '../data/files.ts'
import { type Chart, renderPng, renderSvg } from '../study/report/chart.ts'

/** Where a command's picture goes. */
export interface PictureOptions {
  readonly svg?: string
  readonly png?: string
}

/** Draws a chart to the files asked for, if any. */
export async function writePicture(options: PictureOptions, chart: () => Chart): Promise<void> {
  const { svg, png } = options
  if (svg === undefined && png === undefined) return
  const drawing = await renderSvg(chart(), 'figure')
  if (svg !== undefined) await writeFileWhole(svg, drawing)
  if (png !== undefined) await writeFileWhole(png, [await renderPng(drawing)])
}
