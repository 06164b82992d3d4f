import { isDefined } from '../report/format.ts'
import { layerReason } from '../report/undefinedValues.ts'
import type { RunRecord } from './records.ts'

const header = ['run', 'objective', 'seed', 'swept', 'quantity', 'of', 'value', 'undefined']

/** Every number of every run, one a line at full precision, but for CKA, which cka.csv has. */
export function runsCsv(records: readonly RunRecord[]): string {
  const lines = records.flatMap((record) => {
    const { run, evaluation, layers, transfer, trajectory } = record
    const swept = Object.entries(run.swept).map(([key, value]) => `${key}=${value}`)
    const start = [run.id, run.objective.name, String(run.seed), swept.join(' ')]
    const row = (quantity: string, of: string, value: number | boolean | null, why = '') =>
      [...start, quantity, of, isDefinedOrFlag(value) ? String(value) : '', why]
        .map(quoted)
        .join(',')
    return [
      row('top1', '', evaluation.top1),
      row('top5', '', evaluation.top5, evaluation.top5 === null ? 'five classes or fewer' : ''),
      ...layers.layers.flatMap(({ name, r2, nonZero }) => [
        row('r2', name, r2, r2 === null ? layerReason(layers, name, 'r2') : ''),
        row('non_zero', name, nonZero),
      ]),
      ...trajectory.flatMap(({ epoch, train, test }) => [
        row('r2_train', `epoch ${epoch}`, train),
        row('r2_test', `epoch ${epoch}`, test),
      ]),
      ...Object.entries(transfer).flatMap(([set, methods]) =>
        (['linear', 'knn'] as const).flatMap((method) =>
          Object.entries(methods[method] ?? {}).map(([key, value]) =>
            row(`${method}_${key}`, set, value),
          ),
        ),
      ),
    ]
  })
  return `${[header.join(','), ...lines].join('\n')}\n`
}

/** CKA of every pair of layers of every pair of runs that were compared. */
export function ckaCsv(records: readonly RunRecord[]): string {
  const lines = records.flatMap(({ cka }) =>
    cka.flatMap(({ a, b, layersA, layersB, matrix }) =>
      matrix.flatMap((row, i) =>
        row.map((value, j) =>
          [a, b, layersA[i]!, layersB[j]!, value === null ? '' : String(value)].join(','),
        ),
      ),
    ),
  )
  return `${['run_a,run_b,layer_a,layer_b,cka', ...lines].join('\n')}\n`
}

function isDefinedOrFlag(value: number | boolean | null): boolean {
  return typeof value === 'boolean' || isDefined(value)
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
