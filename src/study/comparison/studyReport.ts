import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { fileError, writeFileWhole } from '../../data/files.ts'
import type { StudyData } from '../plan/oneRun.ts'
import type { PlannedRun } from '../plan/plannedRuns.ts'
import { canRenderText, renderPng } from '../report/chart.ts'
import { studyFigures } from './figures.ts'
import { type Finding, paperFindings } from './findings.ts'
import { readMachine } from './machine.ts'
import { studyMarkdown, studyPage } from './page.ts'
import { readRecords } from './records.ts'
import { ckaCsv, runsCsv } from './runsCsv.ts'
import { summarise } from './summary.ts'
import { studyTables } from './tables.ts'
import type { TwinResults } from './twinResults.ts'

/** What a report was made of. */
export interface WrittenReport {
  /** Paths, report.html first. */
  readonly files: readonly string[]
  /** Runs that it is of. */
  readonly runs: number
  readonly findings: readonly Finding[]
}

/**
 * Writes the report of a study's finished runs: report.html (self-contained), tables.md, runs.csv,
 * cka.csv and charts/*.svg and *.png. The same runs give the same bytes of all but the PNGs, which
 * depend on the machine's fonts.
 *
 * @param folder made where missing
 * @param warn told where a file is poorer than it should be
 * @throws Error when no run is finished, or the folder can't be written
 */
export async function writeStudyReport(
  data: StudyData,
  runs: readonly PlannedRun[],
  folder: string,
  twin: TwinResults | undefined,
  warn: (message: string) => void,
): Promise<WrittenReport> {
  const records = await readRecords(data, runs)
  const summary = summarise(data, runs.length, records, twin)
  const figures = await studyFigures(summary)
  const findings = paperFindings(summary)
  const machine = await readMachine(data.out)
  const report = { summary, findings, tables: studyTables(summary), figures, machine }
  const charts = path.join(folder, 'charts')
  await mkdir(charts, { recursive: true }).catch((error) => {
    throw fileError(`the folder ${folder} for the report`, 'written to', error)
  })
  if (!(await canRenderText()))
    warn('The PNG figures have boxes in place of text, as this machine has no font.')
  const files: [string, string | Uint8Array][] = [
    [path.join(folder, 'report.html'), studyPage(report)],
    [path.join(folder, 'tables.md'), studyMarkdown(report)],
    [path.join(folder, 'runs.csv'), runsCsv(records)],
    [path.join(folder, 'cka.csv'), ckaCsv(records)],
  ]
  for (const { name, wide } of figures.flatMap((figure) => figure.figures)) {
    files.push([path.join(charts, `${name}.svg`), wide])
    files.push([path.join(charts, `${name}.png`), await renderPng(wide)])
  }
  for (const [file, content] of files)
    await writeFileWhole(file, typeof content === 'string' ? content : [content])
  return { files: files.map(([file]) => file), runs: records.length, findings }
}
