import type { StudyResult } from '../studyResult.ts'
import { formatFixed, formatP, isDefined } from './format.ts'
import { paperOrder } from './paperOrder.ts'
import { paperLabel, paperRow } from './paperTable3.ts'
import { layerTables, summaryTable, type Table } from './tables.ts'
import { undefinedNotes } from './undefinedValues.ts'

const paperNote = `${paperLabel}: Kornblith et al. 2021, Table 3; R² on ImageNet's training set.`

/**
 * The study's summary as aligned text for a terminal: a row an objective, then a note for every
 * undefined value and for what the paper's columns are. No trailing newline.
 */
export function formatTable(result: StudyResult): string {
  const table = summaryTable(result)
  const columns = table.columns.map((column) =>
    column.group === paperLabel ? { ...column, group: 'paper*' } : column,
  )
  const remarks = notes(result).map((note) => (note === paperNote ? `* ${note}` : note))
  return [alignedTable({ ...table, columns }), ...remarks].join('\n')
}

/** All tables of the study as Markdown. */
export function markdownTables(result: StudyResult): string {
  const tables = [summaryTable(result), ...layerTables(result)]
  const blocks = tables.map((table) => `## ${table.title}\n\n${markdownTable(table)}`)
  const remarks = notes(result).map((note) => `- ${escapeMarkdown(note)}`)
  return `${[`# ${escapeMarkdown(result.title)}`, ...blocks, remarks.join('\n')].filter(Boolean).join('\n\n')}\n`
}

function notes(result: StudyResult): string[] {
  const list = undefinedNotes(result)
  if (result.objectives.some(({ name }) => paperRow(name))) {
    list.push(paperNote)
  }
  const order = paperOrder(result)
  if (order && order.objectives > 2 && isDefined(order.rho)) {
    list.push(
      `R² here and in the paper: Spearman's rank correlation ${formatFixed(order.rho, 2)}, exact ${formatP(order.p)}.`,
    )
  }
  return list
}

function alignedTable({ columns, rows }: Table): string {
  const widths = columns.map(({ heading }, i) =>
    Math.max(textWidth(heading), ...rows.map((row) => textWidth(row[i]!))),
  )
  // A group's heading may be wider than its columns: the last of them makes room.
  const groups: { text: string; from: number; to: number }[] = []
  columns.forEach(({ group }, i) => {
    const previous = groups.at(-1)
    if (group && previous?.text === group && previous.to === i - 1) previous.to = i
    else if (group) groups.push({ text: group, from: i, to: i })
  })
  const span = (from: number, to: number) =>
    widths.slice(from, to + 1).reduce((sum, width) => sum + width + 2, -2)
  for (const { text, from, to } of groups) {
    widths[to]! += Math.max(0, textWidth(text) - span(from, to))
  }
  const cells = columns.map((_, i) => ' '.repeat(widths[i]!))
  for (const { text, from, to } of groups) {
    cells.splice(from, to - from + 1, pad(text, span(from, to), true), ...Array(to - from).fill(''))
  }
  const line = (texts: string[]) =>
    texts
      .map((text, i) => pad(text, widths[i]!, columns[i]!.numeric))
      .join('  ')
      .trimEnd()
  const groupLine = cells.filter((cell) => cell !== '').join('  ')
  const width = widths.reduce((sum, each) => sum + each + 2, -2)
  return [
    ...(groups.length > 0 ? [groupLine.trimEnd()] : []),
    line(columns.map(({ heading }) => heading)),
    '─'.repeat(width),
    ...rows.map(line),
  ].join('\n')
}

function textWidth(text: string): number {
  return [...text].length
}

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - textWidth(text)))
  return right ? space + text : text + space
}

/** One table as Markdown, without its title. */
export function markdownTable({ columns, rows, bold }: Table): string {
  const row = (cells: string[], isBold: boolean[] = []) =>
    `| ${cells.map((cell, i) => (isBold[i] ? `**${escapeMarkdown(cell)}**` : escapeMarkdown(cell))).join(' | ')} |`
  return [
    row(columns.map(({ heading, group }) => (group ? `${heading}, ${group}` : heading))),
    `| ${columns.map(({ numeric }) => (numeric ? '---:' : '---')).join(' | ')} |`,
    ...rows.map((cells, r) => row(cells, bold?.[r])),
  ].join('\n')
}

export function escapeMarkdown(text: string): string {
  return text.replace(/[\\|<>*_`]/g, '\\$&').replace(/\s+/g, ' ')
}
