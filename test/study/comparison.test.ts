import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Dataset } from '../../src/data/dataset.ts'
import type { ImageDataset } from '../../src/data/imageSource.ts'
import { studyFigures } from '../../src/study/comparison/figures.ts'
import { paperFindings } from '../../src/study/comparison/findings.ts'
import { meanInitialCka } from '../../src/study/comparison/meanCka.ts'
import { studyMarkdown, studyPage } from '../../src/study/comparison/page.ts'
import type { RunRecord } from '../../src/study/comparison/records.ts'
import { ckaCsv, runsCsv } from '../../src/study/comparison/runsCsv.ts'
import {
  correlationInterval,
  estimate,
  meanInterval,
  welch,
} from '../../src/study/comparison/statistics.ts'
import { summarise } from '../../src/study/comparison/summary.ts'
import { studyTables } from '../../src/study/comparison/tables.ts'
import { readTwinResults } from '../../src/study/comparison/twinResults.ts'
import { initialName, meetsInitial, partnersOf } from '../../src/study/plan/comparison.ts'
import type { StudyData } from '../../src/study/plan/oneRun.ts'
import { type PlannedRun, plannedRuns } from '../../src/study/plan/plannedRuns.ts'
import { parseStudy } from '../../src/study/plan/studyFile.ts'
import { temporaryFolder } from '../data/temporaryFolder.ts'
import { thrown } from '../thrown.ts'
import { layerNames } from './sampleStudyResult.ts'

// Values of scipy 1.10: ttest_ind(equal_var=False), t.ppf, norm.ppf.
const a = estimate([0.71, 0.74, 0.69])
const b = estimate([0.62, 0.655, 0.66])

/** Two libraries' quantiles of Student's t differ by the tolerance of a root search. */
const isNear = (value: number, expected: number) =>
  assert.ok(Math.abs(value - expected) < 1e-7, `${value}, expected ${expected}`)

test('t-test and intervals as in scipy', () => {
  const { difference, interval, p } = welch(a, b)
  isNear(difference, 0.0683333333333333)
  isNear(p!, 0.024498464916626092)
  isNear(interval![0], 0.0145351795041185)
  isNear(interval![1], 0.12213148716254799)
  isNear(meanInterval(a)![0], 0.6508172385372244)
  isNear(meanInterval(a)![1], 0.7758494281294421)
  isNear(correlationInterval(-0.65, 9)![0], -0.9296655817141054)
  isNear(correlationInterval(-0.65, 9)![1], 0.10493522273444045)
})

test('one seed, or values that are all the same, give no interval and no p', () => {
  assert.equal(welch(estimate([1]), b).p, null)
  assert.equal(welch(estimate([1, 1]), estimate([2, 2])), {
    difference: -1,
    interval: null,
    p: null,
  })
  assert.equal(meanInterval(estimate([1])), null)
  assert.equal(correlationInterval(1, 9), null)
  assert.equal(correlationInterval(0.5, 3), null)
})

const study = parseStudy(
  `dataset = "made-up"
seeds = [1, 2, 3]
sweepSeeds = [1]
[training]
steps = 20
[sweep.cosine-softmax]
tau = [0.01, 0.08]
[transfer]
datasets = ["digits", "cards"]`,
  'f.toml',
)
const dataset = {
  name: 'made-up',
  source: 'nowhere',
  classes: 10,
  height: 28,
  width: 28,
  train: { images: new Uint8Array(), count: 8000 },
  test: { count: 2000 },
} as Dataset
const set = { classes: 4, train: { count: 300 }, test: { count: 100 } } as ImageDataset
const data: StudyData = {
  study,
  dataset,
  transfer: new Map([
    ['digits', set],
    ['cards', set],
  ]),
  out: 'nowhere',
}
const runs = plannedRuns(study, dataset)

/** The paper's order of class separation, as it would be were everything to hold here. */
const order = [
  'softmax',
  'label-smoothing',
  'sigmoid',
  'dropout',
  'logit-norm',
  'extra-l2',
  'logit-penalty',
  'cosine-softmax',
  'squared-error',
]
const sparse = ['logit-norm', 'cosine-softmax', 'squared-error']

/** Invented figures of a run: no network was trained. `sign` -1 turns the paper's order round. */
function record(run: PlannedRun, sign = 1): RunRecord {
  const { objective, seed, swept } = run
  const rank = order.indexOf(objective.name)
  const noise = (at: number) => 0.002 * Math.sin(7 * seed + 3 * rank + at)
  const tau = swept.tau === undefined ? 0 : swept.tau - 0.05
  const r2 = 0.5 + sign * 0.05 * (rank - 4) + tau + noise(0)
  const accuracy = 0.8 - 0.05 * rank + noise(1)
  const probe = { accuracy, meanPerClass: accuracy, atEdge: false }
  const linear = { ...probe, lambda: 0.1, converged: seed !== 3, gradientNorm: 0.01 }
  const transfer = { train: 300, test: 100, classes: 4, linear, knn: { ...probe, k: 3 } }
  return {
    run,
    evaluation: { top1: 0.9 + noise(2), top5: 0.99, input: [32, 32, 3], parameters: 1000 },
    layers: {
      layers: layerNames.map((name, i) => ({
        name,
        features: 64,
        r2: i === layerNames.length - 1 ? r2 : (r2 * i) / 40,
        nonZero: sparse.includes(objective.name) && i > 13 ? 0.2 + noise(3) : 0.9 + noise(4),
      })),
      examples: 2000,
    },
    transfer: { digits: transfer, cards: transfer },
    trajectory: [2, 4].map((epoch) => ({ epoch, train: (r2 * epoch) / 4, test: null })),
    cka: [
      ...partnersOf(data, runs, run).map(({ id, objective }) => ({ id, name: objective.name })),
      ...(meetsInitial(data, run) ? [{ id: initialName(run), name: '' }] : []),
    ].map((other) => ({
      a: run.id,
      b: other.id,
      layersA: layerNames,
      layersB: layerNames,
      matrix: layerNames.map((_, i) =>
        layerNames.map((__, j) => {
          const late = other.name === objective.name || i < 13 ? 0 : 0.4
          return 0.95 - late - 0.03 * Math.abs(i - j) + noise(i)
        }),
      ),
      estimator: 'unbiased',
      n: 1000,
      batches: 4,
    })),
  }
}

const records = runs.map((run) => record(run))
const summary = summarise(data, runs.length, records)

test('partners are all objectives of the next seed, and of the first after the last', () => {
  const last = runs.find(({ id }) => id === 'dropout-seed3')!
  const partners = partnersOf(data, runs, last)
  assert.is(partners.length, 9)
  assert.ok(partners.every(({ seed, swept }) => seed === 1 && Object.keys(swept).length === 0))
  assert.equal(partnersOf(data, runs, runs.at(-1)!), [], 'a run of the sweep')
})

test('findings hold where the figures are so, and do not where they are turned round', () => {
  assert.equal(
    paperFindings(summary).map(({ verdict }) => verdict),
    // Three temperatures have six orders: the smallest p is a third.
    ['holds', 'holds', 'holds', 'holds', 'holds', 'holds in the means only'],
  )
  const turned = summarise(
    data,
    runs.length,
    runs.map((run) => record(run, -1)),
  )
  assert.equal(
    paperFindings(turned).map(({ verdict }) => verdict),
    [
      'does not hold',
      'does not hold',
      'does not hold',
      'holds',
      'holds',
      'holds in the means only',
    ],
  )
})

test('tables have means with their errors, the best in bold, and the paper beside them', () => {
  const [top1, linear, knn, separation, temperature] = studyTables(summary)
  assert.equal(
    top1!.columns.map(({ heading }) => heading),
    ['objective', 'top-1', 'top-5'],
  )
  assert.is(linear!.title, 'Table 1, linear transfer')
  assert.is(linear!.rows[0]!.at(-1), '76.0', 'the paper’s mean')
  assert.match(linear!.rows[0]![1]!, /^80\.\d ± 0\.\d$/)
  assert.equal(
    linear!.bold!.map((row) => row[3]),
    [true, ...new Array(8).fill(false)],
    'the mean over the sets is best for softmax alone',
  )
  assert.is(knn!.rows.length, 9)
  assert.is(separation!.rows[8]![3], '0.845')
  assert.equal(
    temperature!.rows.map(([tau, seeds, , , paper]) => [tau, seeds, paper]),
    [
      ['0.01', '1', '0.236'],
      ['0.05', '3', '0.634'],
      ['0.08', '1', '0.770'],
    ],
  )
})

test('the twin stands beside, and a file that is none is refused', async () => {
  const file = path.join(temporaryFolder(), 'twin.json')
  await writeFile(
    file,
    JSON.stringify({
      torch: '2',
      runs: { 'softmax-seed1': { top1: 0.9, r2: { avgpool: 0.3 } } },
    }),
  )
  const twin = await readTwinResults(file)
  const table = studyTables(summarise(data, runs.length, records, twin)).at(-1)!
  assert.is(table.title, 'Beside PyTorch')
  assert.equal(
    table.rows.map(([label, , top1]) => [label, top1]),
    [['Softmax', '90.0']],
  )
  await writeFile(file, '{}')
  const { message } = await thrown(() => readTwinResults(file))
  assert.match(message, 'is not what reference/twinStudy.py writes')
})

test('CKA with the network at initialisation is the mean over the first objective’s seeds', () => {
  const [softmax, other] = summary.objectives
  const { matrix } = meanInitialCka(softmax!)!
  const own = softmax!.records.map(({ cka }) => cka.at(-1)!.matrix[16]![3]!)
  assert.is(own.length, 3)
  assert.is(matrix[16]![3], own.reduce((sum, value) => sum + value) / 3)
  assert.is(meanInitialCka(other!), undefined)
})

test('all figures are drawn, and the page needs nothing from outside', async () => {
  const figures = await studyFigures(summary)
  const names = figures.flatMap((figure) => figure.figures.map(({ name }) => name))
  for (const name of [
    '1',
    '2a-squared-error',
    '2a-initialisation',
    '2b-avgpool',
    '3',
    '4',
    '5a',
    '5b',
    'e4-train',
  ])
    assert.ok(names.includes(`figure-${name}`), `${names}`)
  const report = {
    summary,
    findings: paperFindings(summary),
    tables: studyTables(summary),
    figures,
  }
  const html = studyPage(report)
  assert.not.match(html, /<script|<link|src="http|NaN|undefined/)
  assert.is(html, studyPage(report), 'the same bytes again')
  assert.match(html, '18 of 116 classifiers of the transfer did not converge')
  assert.match(studyMarkdown(report), '**Softmax has the lowest class separation.** holds.')
})

test('a line of CSV for every number', async () => {
  const lines = runsCsv(records).trim().split('\n')
  assert.match(lines[1]!, /^softmax-seed1,softmax,1,,top1,,0\.\d+,$/)
  assert.ok(lines.includes('cosine-softmax-tau0.01-seed1,cosine-softmax,1,tau=0.01,knn_k,cards,3,'))
  assert.is(ckaCsv(records).trim().split('\n').length, 1 + (27 * 9 + 3) * 17 * 17)
})

test('a study without a finished run has no report', async () => {
  const { message } = await thrown(() => summarise(data, runs.length, []))
  assert.match(message, 'nowhere has no finished run yet')
})

test.run()
