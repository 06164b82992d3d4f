import { access, constants, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, writeFileWhole } from '../../data/files.ts'
import type { StudyResult } from '../studyResult.ts'
import { canRenderText, renderPng } from './chart.ts'
import { checkStudyResult } from './checkStudyResult.ts'
import { csvTable } from './csv.ts'
import { drawFigures } from './figures.ts'
import { reportPage } from './page.ts'
import { markdownTables } from './textTable.ts'

/**
 * Writes the report of a study to a folder, which is made where missing: `report.html`
 * (self-contained), `charts/*.svg` and `charts/*.png` (twice the size in pixels), `tables.csv` and
 * `tables.md`. All is drawn before anything is written, each file is written whole or not at all, and
 * `report.html` comes last. The same result gives the same HTML, SVG, CSV and Markdown bytes; PNG bytes
 * also depend on the machine's fonts.
 *
 * @param warn told, in a sentence, where a file is poorer than it should be (no font for the PNGs);
 *   a process warning where left out.
 * @returns the paths written, `report.html` first.
 * @throws Error where `result` is inconsistent or the folder cannot be written.
 */
export async function renderReport(
  result: StudyResult,
  outDir: string,
  warn: (message: string) => void = (message) => process.emitWarning(message),
): Promise<string[]> {
  checkStudyResult(result)
  const charts = join(outDir, 'charts')
  try {
    await mkdir(charts, { recursive: true })
    for (const folder of [outDir, charts]) await access(folder, constants.W_OK)
  } catch (error) {
    throw fileError(`The folder ${outDir} for the report`, 'written to', error)
  }
  const groups = await drawFigures(result)
  const files: [string, string | Uint8Array][] = []
  for (const figure of groups.flatMap((group) => group.figures)) {
    files.push([join(charts, `${figure.name}.svg`), figure.wide])
    files.push([join(charts, `${figure.name}.png`), await renderPng(figure.wide)])
  }
  files.push([join(outDir, 'tables.csv'), csvTable(result)])
  files.push([join(outDir, 'tables.md'), markdownTables(result)])
  files.push([join(outDir, 'report.html'), reportPage(result, groups)])
  if (!(await canRenderText())) {
    warn(
      'The PNG figures have boxes in place of text, as this machine has no font: install one (on Debian or Ubuntu: apt-get install fonts-dejavu-core) and make the report again; report.html and the SVG figures need none of that.',
    )
  }
  for (const [path, content] of files) {
    await writeFileWhole(path, typeof content === 'string' ? content : [content])
  }
  return files.map(([path]) => path).reverse()
}
