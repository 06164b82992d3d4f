import type { StudyResult } from '../studyResult.ts'
import type { FigureGroup } from './figures.ts'
import { findings } from './findings.ts'
import { escapeHtml, formatCount, formatSeconds } from './format.ts'
import { detailsHtml, figureHtml, prose, tableHtml } from './html.ts'
import { pageStyle } from './pageStyle.ts'
import { paperLabel } from './paperTable3.ts'
import { layerTables, summaryTable } from './tables.ts'
import { objectiveStyles } from './theme.ts'
import { undefinedNotes } from './undefinedValues.ts'

/** The report as one HTML page: styles and figures inline, no script, nothing loaded from outside. */
export function reportPage(result: StudyResult, groups: FigureGroup[]): string {
  const section = (name: FigureGroup['section']) =>
    groups
      .map((group, i) => (group.section === name ? figureHtml(group, i + 1) : ''))
      .filter(Boolean)
      .join('\n')
  const has = (name: FigureGroup['section']) => groups.some((group) => group.section === name)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="gramgrad ${escapeHtml(result.versions.gramgrad)}">
<title>${escapeHtml(result.title)}</title>
<style>
${pageStyle}
</style>
</head>
<body>
<main>
<h1>${escapeHtml(result.title)}</h1>
<p class="lead">${escapeHtml(leadSentence(result))}</p>
${summaryHtml(result)}
<div class="pair">
<section>
<h2>What this run shows</h2>
<ul>
${findings(result)
  .map((sentence) => `<li>${prose(sentence)}</li>`)
  .join('\n')}
</ul>
</section>
<section>
<h2>How to read it</h2>
${readingGuide}
</section>
</div>
${notesHtml(result)}
<h2>Features, layer by layer</h2>
${section('layers')}
${has('cka') ? `<h2>Similarity of the networks</h2>\n${section('cka')}` : ''}
${has('training') ? `<h2>Training</h2>\n${section('training')}` : ''}
<h2>Numbers</h2>
${layerTables(result).map(detailsHtml).join('\n')}
<p class="note">Beside this page: <a href="tables.csv">tables.csv</a> (every number at full precision, one a line), <a href="tables.md">tables.md</a>, and each figure as SVG and PNG in <a href="charts">charts</a>.</p>
<h2>Set-up</h2>
${setUpHtml(result)}
</main>
</body>
</html>
`
}

function leadSentence({ model, dataset, objectives, training, seed }: StudyResult): string {
  const count = ['', 'One', 'Two', 'Three', 'Four', 'Five', 'Six', 'Seven', 'Eight', 'Nine']
  const networks = `${count[objectives.length] ?? objectives.length} ${objectives.length === 1 ? 'network' : 'networks, one for each objective'}`
  const epochs = Number(training.epochs.toFixed(2))
  return `${networks}: ResNet-50 at width ${model.width}, trained for ${epochs} ${epochs === 1 ? 'epoch' : 'epochs'} on ${formatCount(dataset.train)} images of ${dataset.name} (${dataset.classes} classes), tested on ${formatCount(dataset.test)} others. Seed ${seed}.`
}

function notesHtml(result: StudyResult): string {
  const notes = undefinedNotes(result)
  if (result.objectives.length > 1) {
    notes.push('Each objective was trained once, from one seed: small differences may be chance.')
  }
  if (result.device.software) {
    notes.push(
      'Trained on a software driver, without a GPU: times and images per second say nothing about a GPU.',
    )
  }
  return notes.map((note) => `<p class="note">${prose(note)}</p>`).join('\n')
}

const readingGuide = `<p><b>Class separation R²</b> is one minus the mean cosine distance between images of the same class over the mean cosine distance between any two images, classes weighted equally (Kornblith et al. 2021, eq.&nbsp;11): 0 where classes are no closer together than images at large, 1 where every class has shrunk to a single direction. <b>Sparsity</b> is given as the share of activations that are not exactly zero; the lower it is, the fewer features are in use for an image. <b>CKA</b> (linear centered kernel alignment) asks whether two layers find the same pairs of images alike: 1 where they do, up to rotation and scale, 0 where their similarities are unrelated. <b>What to look for:</b> the layer from which the lines of R² and of sparsity part, and the one from which the diagonal of the CKA map (same depth in both networks) darkens. On ImageNet the paper finds the early layers alike whatever the objective, differences in the last few blocks only, and a higher R² in the penultimate layer for every alternative to softmax cross-entropy.</p>`

function summaryHtml(result: StudyResult): string {
  const table = summaryTable(result)
  const styles = objectiveStyles(result.objectives.map(({ name }) => name))
  const keys = result.objectives.map(
    ({ name }) =>
      `<svg class="key" viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="5" fill="${styles.get(name)!.colour}"/></svg>`,
  )
  const paper = table.columns.some(({ group }) => group === paperLabel)
    ? `<p class="note">Columns “${escapeHtml(paperLabel)}”: Kornblith et al. 2021, Table 3, ImageNet at width 1, R² on the training set, means of eight networks. Another data set and size: compare the order, not the values.</p>`
    : ''
  return `<div class="scroll">${tableHtml(table, keys)}</div>\n${paper}`
}

function setUpHtml(result: StudyResult): string {
  const { model, training, device, versions, seconds } = result
  const phases = Object.entries(seconds).map(([name, value]) => `${name} ${formatSeconds(value)}`)
  const hyperparameters = result.objectives.map(({ label, hyperparameters: all }) => {
    const pairs = Object.entries(all).map(([key, value]) => `${key} ${value}`)
    return `${label}${pairs.length > 0 ? ` (${pairs.join(', ')})` : ''}`
  })
  const rows: [string, string][] = [
    ['Command', `<code>${escapeHtml(result.command)}</code>`],
    ['Objectives', escapeHtml(hyperparameters.join('; '))],
    [
      'Network',
      escapeHtml(
        `ResNet-50, width ${model.width}, input ${model.input.join(' × ')}, ${formatCount(model.parameters)} parameters`,
      ),
    ],
    [
      'Optimiser',
      escapeHtml(
        `SGD, batch ${training.batch}, ${formatCount(training.steps)} steps, learning rate ${training.lr} (${training.schedule}), momentum ${training.momentum}, weight decay ${training.weightDecay}`,
      ),
    ],
    [
      'Device',
      escapeHtml(
        `${device.adapter} (${device.backend}${device.software ? ', software driver' : ''})`,
      ),
    ],
    ['Time', escapeHtml(phases.join(', '))],
    [
      'Versions',
      escapeHtml(`gramgrad ${versions.gramgrad}, Node ${versions.node}, webgpu ${versions.webgpu}`),
    ],
    [
      'Paper',
      'S. Kornblith, T. Chen, H. Lee, M. Norouzi. Why Do Better Loss Functions Lead to Less Transferable Features? NeurIPS 2021.',
    ],
  ]
  return `<dl>\n${rows.map(([term, html]) => `<dt>${term}</dt><dd>${html}</dd>`).join('\n')}\n</dl>`
}
