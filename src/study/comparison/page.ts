import type { CompleteConfig } from '../../train/config.ts'
import { transferMetric } from '../plan/studyFile.ts'
import { escapeHtml, formatCount, formatList } from '../report/format.ts'
import { detailsHtml, figureHtml, prose, tableHtml } from '../report/html.ts'
import { pageStyle } from '../report/pageStyle.ts'
import type { Table } from '../report/tables.ts'
import { escapeMarkdown, markdownTable } from '../report/textTable.ts'
import type { Finding } from './findings.ts'
import type { Machine } from './machine.ts'
import type { RunRecord } from './records.ts'
import type { StudyFigure } from './studyFigure.ts'
import type { StudySummary } from './summary.ts'

/** All that a study's report shows. */
export interface StudyReport {
  readonly summary: StudySummary
  readonly findings: readonly Finding[]
  readonly tables: readonly Table[]
  readonly figures: readonly StudyFigure[]
  readonly machine?: Machine | undefined
}

/** The report as one HTML page: styles and figures inline, no script, nothing loaded from outside. */
export function studyPage(report: StudyReport): string {
  const { summary, findings, tables, figures } = report
  const { title } = summary.data.study
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
${pageStyle}
</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${prose(leadSentence(summary))}</p>
${notes(report)
  .map((note) => `<p class="note">${prose(note)}</p>`)
  .join('\n')}
<h2>Which of the paper’s findings show here</h2>
${findings.map(findingHtml).join('\n')}
<h2>Tables</h2>
${tables
  .map(
    (table) =>
      `<h3>${escapeHtml(table.title)}</h3>\n<div class="scroll">${tableHtml(table)}</div>\n<p class="note">${prose(table.note ?? '')}</p>`,
  )
  .join('\n')}
<h2>Figures</h2>
${figures.map((figure, i) => figureHtml({ ...figure, section: 'layers' }, i + 1)).join('\n')}
<p class="note">Beside this page: <a href="runs.csv">runs.csv</a> (every number of every run), <a href="cka.csv">cka.csv</a>, <a href="tables.md">tables.md</a>, and each figure as SVG and PNG in <a href="charts">charts</a>.</p>
<h2>Set-up</h2>
${detailsHtml(runsTable(summary))}
<dl>
${setUp(report)
  .map(([term, text]) => `<dt>${term}</dt><dd>${escapeHtml(text)}</dd>`)
  .join('\n')}
</dl>
</main>
</body>
</html>
`
}

/** Findings and tables as Markdown. */
export function studyMarkdown(report: StudyReport): string {
  const { summary, findings, tables } = report
  return `${[
    `# ${escapeMarkdown(summary.data.study.title)}`,
    escapeMarkdown(leadSentence(summary)),
    ...notes(report).map(escapeMarkdown),
    '## Which of the paper’s findings show here',
    ...findings.map(
      ({ claim, verdict, evidence }) =>
        `- **${escapeMarkdown(claim)}** ${verdict}.\n${evidence.map((text) => `  - ${escapeMarkdown(text)}`).join('\n')}`,
    ),
    ...tables.flatMap((table) => [
      `## ${escapeMarkdown(table.title)}`,
      markdownTable(table),
      ...(table.note ? [escapeMarkdown(table.note)] : []),
    ]),
    '## Set-up',
    setUp(report)
      .map(([term, text]) => `- ${term}: ${escapeMarkdown(text)}`)
      .join('\n'),
  ].join('\n\n')}\n`
}

function findingHtml({ claim, verdict, evidence }: Finding): string {
  const sentences = evidence.map((text) => `<li>${prose(text)}</li>`).join('')
  return `<p><b>${prose(claim)}</b> In this study this <b>${verdict}</b>.</p>\n<ul>${sentences}</ul>`
}

function leadSentence({ data, objectives, records }: StudySummary): string {
  const { study, dataset, transfer } = data
  const sets = [...transfer.keys()]
  const { config } = records[0]!.run
  const on = sets.length > 0 ? ` Their features are tried out on ${formatList(sets)}.` : ''
  return `${formatCount(objectives.length)} objectives, ${study.seeds.length} ${study.seeds.length === 1 ? 'seed' : 'seeds'} each: ResNet-50 at width ${config.width}, trained for ${stepsText(records)} steps of ${config.batch} on ${formatCount(dataset.train.count)} images of ${dataset.name} (${dataset.classes} classes), tested on ${formatCount(dataset.test!.count)} others.${on}`
}

/** `300`, or `45,552 to 61,152` where objectives are trained for unlike numbers of steps. */
function stepsText(records: readonly RunRecord[]): string {
  const steps = records.map(({ run }) => run.config.steps)
  const [least, most] = [Math.min(...steps), Math.max(...steps)]
  return least === most ? formatCount(most) : `${formatCount(least)} to ${formatCount(most)}`
}

function augmentationText({ augment, autoAugment, mixup }: CompleteConfig): string {
  const crops = {
    none: [],
    pad: ['moved by up to 4 pixels and mirrored'],
    'random-resized': ['random resized crops and mirroring'],
  }
  const all = [
    ...crops[augment],
    ...(autoAugment ? ['AutoAugment'] : []),
    ...(mixup > 0 ? [`Mixup ${mixup}`] : []),
  ]
  return all.length > 0 ? all.join(', ') : 'no augmentation'
}

/** What a reader must know of gaps and of fits that are to be doubted. */
function notes({ summary, machine }: StudyReport): string[] {
  const { records, planned } = summary
  const probes = records.flatMap(({ run, transfer }) =>
    Object.entries(transfer).flatMap(([set, { linear, knn }]) => [
      ...(linear ? [{ run: run.id, set, ...linear }] : []),
      ...(knn ? [{ run: run.id, set, converged: true, atEdge: false }] : []),
    ]),
  )
  const failed = probes.filter(({ converged }) => !converged)
  const edges = probes.filter(({ atEdge }) => atEdge)
  return [
    ...(records.length < planned
      ? [`${records.length} of ${planned} runs are finished: this report is of these.`]
      : []),
    ...(failed.length > 0
      ? [
          `${failed.length} of ${probes.length} classifiers of the transfer did not converge; the first: ${failed[0]!.run} on ${failed[0]!.set}.`,
        ]
      : []),
    ...(edges.length > 0
      ? [
          `In ${edges.length} linear probes the best regularisation was the weakest or the strongest tried, so a better one may lie beyond; the first: ${edges[0]!.run} on ${edges[0]!.set}.`,
        ]
      : []),
    ...(machine?.device.software ? ['Computed on a software driver, without a GPU.'] : []),
  ]
}

function setUp({ summary, machine }: StudyReport): [string, string][] {
  const { data, records, objectives } = summary
  const { study, transfer, dataset } = data
  const { config } = records[0]!.run
  const { evaluation } = records[0]!
  const hyperparameters = objectives.map(({ label, records: [first] }) => {
    const values = Object.entries(first!.run.objective.hyperparameters)
    const text = values.map(([key, value]) => `${key} ${value}`).join(', ')
    return text ? `${label} (${text})` : label
  })
  const { methods, lambdas } = study.transfer
  const sizes = [...transfer].map(([name, set]) => {
    const [train, test] = [set.train.count, set.test?.count ?? 0]
    const [most, tested] = [
      Math.min(train, study.transfer.train),
      Math.min(test, study.transfer.test),
    ]
    const metric = transferMetric(study, name) === 'top1' ? 'top-1' : 'mean per-class'
    const chosen = set.validation ? `, ${formatCount(set.validation.count)} more to choose by` : ''
    return `${name} (${formatCount(most)} to learn from${chosen}, ${formatCount(tested)} to test on, ${set.classes} classes, ${metric} accuracy)`
  })
  return [
    ...(machine ? ([['Command', machine.command]] as [string, string][]) : []),
    ['Data', `${dataset.name}, ${dataset.source.split('/').at(-1)}`],
    ['Objectives', hyperparameters.join('; ')],
    ['Seeds', study.seeds.join(', ')],
    [
      'Network',
      `ResNet-50, width ${config.width}, input ${evaluation.input.join(' × ')}, ${formatCount(evaluation.parameters)} parameters`,
    ],
    [
      'Optimiser',
      `SGD, batch ${config.batch}, ${stepsText(records)} steps, learning rate ${config.lr} (${config.warmupSteps} steps of warm-up, then ${config.schedule}), momentum ${config.momentum}${config.nesterov ? ' (Nesterov)' : ''}, weight decay ${config.weightDecay}${config.ema > 0 ? `, weights averaged with decay ${config.ema}` : ''}, ${augmentationText(config)}`,
    ],
    ...(sizes.length > 0
      ? ([
          [
            'Transfer',
            `${sizes.join('; ')}; ${methods.join(' and ')}; lambda from ${lambdas ? lambdas.join(', ') : '45 values, 1e-6 to 1e5'}`,
          ],
        ] as [string, string][])
      : []),
    [
      'Statistics',
      'Welch’s two-sided t-tests and 95 % intervals over seeds; Spearman’s correlation with exact p-values over all orders and intervals by Fisher’s z (Bonett and Wright 2000); nothing is corrected for the number of comparisons',
    ],
    ...(machine
      ? ([
          [
            'Device',
            `${machine.device.adapter} (${machine.device.backend}${machine.device.software ? ', software driver' : ''})`,
          ],
          [
            'Versions',
            `gramgrad ${machine.versions.gramgrad}, Node ${machine.versions.node}, webgpu ${machine.versions.webgpu}`,
          ],
        ] as [string, string][])
      : []),
    [
      'Paper',
      'S. Kornblith, T. Chen, H. Lee, M. Norouzi. Why Do Better Loss Functions Lead to Less Transferable Features? NeurIPS 2021.',
    ],
  ]
}

function runsTable({ records }: StudySummary): Table {
  return {
    title: `All ${records.length} runs`,
    columns: [
      { heading: 'run', numeric: false },
      { heading: 'top-1 (%)', numeric: true },
      { heading: 'R²', numeric: true },
    ],
    rows: records.map(({ run, evaluation, layers }) => [
      run.id,
      (100 * evaluation.top1).toFixed(1),
      layers.layers.at(-1)!.r2?.toFixed(3) ?? 'undefined',
    ]),
  }
}
