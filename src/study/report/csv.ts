import type { StudyResult } from '../studyResult.ts'
import { isDefined } from './format.ts'
import { paperOrder } from './paperOrder.ts'
import { paperRow } from './paperTable3.ts'
import { ckaReason, layerReason } from './undefinedValues.ts'

const header = [
  'quantity',
  'objective',
  'layer',
  'other_objective',
  'other_layer',
  'epoch',
  'value',
  'undefined',
] as const

type Row = Partial<Record<Exclude<(typeof header)[number], 'value' | 'quantity'>, string>> & {
  quantity: string
  value: number | null | undefined
}

/**
 * Every number of the study, one a line (RFC 4180, `\n` line ends, full precision, shares 0..1). An
 * undefined value is an empty cell with the reason in the last column.
 */
export function csvTable(result: StudyResult): string {
  const rows: Row[] = []
  for (const objective of result.objectives) {
    const { name, layers, history } = objective
    const paper = paperRow(name)
    const add = (quantity: string, value: number | null | undefined, rest: Partial<Row> = {}) =>
      rows.push({ quantity, objective: name, value, ...rest })
    add('top1', objective.top1)
    add('final_loss', objective.finalLoss)
    add('seconds', objective.seconds)
    add('images_per_second', objective.imagesPerSecond)
    if (paper) {
      add('paper_imagenet_top1', paper.top1)
      add('paper_imagenet_r2', paper.r2, { layer: layers.at(-1)!.name })
    }
    for (const layer of layers) {
      add('features', layer.features, { layer: layer.name })
      add('r2', layer.r2, {
        layer: layer.name,
        undefined: layerReason(objective, layer.name, 'r2'),
      })
      add('non_zero', layer.nonZero, { layer: layer.name })
    }
    for (const { epoch, loss, top1 } of history) {
      add('epoch_loss', loss, { epoch: String(epoch) })
      if (top1 !== undefined) add('epoch_top1', top1, { epoch: String(epoch) })
    }
  }
  const order = paperOrder(result)
  if (order) {
    rows.push({ quantity: 'spearman_r2_paper', value: order.rho, undefined: 'R² is all the same' })
    rows.push({ quantity: 'spearman_r2_paper_p', value: order.p, undefined: 'R² is all the same' })
  }
  for (const comparison of result.cka) {
    comparison.matrix.forEach((row, i) => {
      row.forEach((value, j) => {
        const layer = comparison.layersA[i]!
        const other = comparison.layersB[j]!
        rows.push({
          quantity: 'cka',
          objective: comparison.a,
          layer,
          other_objective: comparison.b,
          other_layer: other,
          value,
          undefined: ckaReason(comparison, layer, other),
        })
      })
    })
  }
  const lines = rows.map((row) =>
    header
      .map((column) => {
        if (column === 'value') return isDefined(row.value) ? String(row.value) : ''
        if (column === 'undefined') {
          return isDefined(row.value) ? '' : quoted(row.undefined ?? 'not a finite number')
        }
        return quoted(row[column] ?? '')
      })
      .join(','),
  )
  return `${[header.join(','), ...lines].join('\n')}\n`
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
