import type { Figure, FigureGroup } from './figures.ts'
import { escapeHtml } from './format.ts'
import type { Table } from './tables.ts'

/** A sentence as HTML, its numbers kept on one line with their per cent signs. */
export function prose(sentence: string): string {
  return escapeHtml(sentence).replaceAll(' %', '&nbsp;%')
}

/** @param keys what goes before the first text of each row, as HTML */
export function tableHtml({ title, columns, rows, bold }: Table, keys?: string[]): string {
  const cellClass = (i: number) => (columns[i]!.numeric ? '' : ' class="text"')
  const groupCells: string[] = []
  for (let i = 0; i < columns.length; ) {
    const { group } = columns[i]!
    let end = i + 1
    while (group && columns[end]?.group === group) end++
    groupCells.push(
      group
        ? `<th colspan="${end - i}" scope="colgroup"><span>${escapeHtml(group)}</span></th>`
        : '<td></td>',
    )
    i = end
  }
  const hasGroups = columns.some(({ group }) => group)
  return `<table aria-label="${escapeHtml(title)}">
<thead>
${hasGroups ? `<tr>${groupCells.join('')}</tr>\n` : ''}<tr>${columns
    .map(({ heading }, i) => `<th scope="col"${cellClass(i)}>${escapeHtml(heading)}</th>`)
    .join('')}</tr>
</thead>
<tbody>
${rows
  .map(
    ([first, ...rest], r) =>
      `<tr><th scope="row" class="text">${keys?.[r] ?? ''}${escapeHtml(first!)}</th>${rest
        .map((text, c) => `<td>${emphasised(escapeHtml(text), bold?.[r]?.[c + 1])}</td>`)
        .join('')}</tr>`,
  )
  .join('\n')}
</tbody>
</table>`
}

/** A table that opens when asked for. */
export function detailsHtml(table: Table): string {
  return `<details><summary>${escapeHtml(table.title)}</summary><div class="scroll">${tableHtml(table)}</div></details>`
}

/** Figures with their caption. */
export function figureHtml({ title, caption, figures }: FigureGroup, number: number): string {
  const files = ({ name }: Figure) =>
    `<a href="charts/${name}.svg">SVG</a>, <a href="charts/${name}.png">PNG</a>`
  const single = figures.length === 1
  const drawing = single
    ? `<div class="wide">${inlineSvg(figures[0]!, 'wide')}</div>\n<div class="narrow">${inlineSvg(figures[0]!, 'narrow')}</div>`
    : `<div class="grid">\n${figures.map((figure) => `<div>${inlineSvg(figure, 'narrow')}</div>`).join('\n')}\n</div>`
  const links = single
    ? files(figures[0]!)
    : 'every map with its values as SVG and PNG in <a href="charts">charts</a>'
  return `<figure>
${drawing}
<figcaption><b>Figure ${number}. ${escapeHtml(title)}</b> ${escapeHtml(caption)} (${links})</figcaption>
</figure>`
}

/** A figure's SVG as part of the page: sized by its surroundings, up to its own width. */
function inlineSvg(figure: Figure, form: 'wide' | 'narrow'): string {
  const width = Number(/ width="([\d.]+)"/.exec(figure[form])![1])
  return figure[form]
    .replace(
      /^<svg [^>]*?(viewBox="[^"]*")>/,
      `<svg role="img" aria-label="${escapeHtml(figure.description)}" $1 style="max-width:${width}px">`,
    )
    .replace(/ xmlns(?::xlink)?="[^"]*"/g, '')
}

function emphasised(html: string, isBold = false): string {
  return isBold ? `<b>${html}</b>` : html
}
