import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { csvTable } from '../../src/study/report/csv.ts'
import { findings } from '../../src/study/report/findings.ts'
import { formatSeconds } from '../../src/study/report/format.ts'
import { paperRow } from '../../src/study/report/paperTable3.ts'
import { spearman } from '../../src/study/report/spearman.ts'
import { formatTable, markdownTables } from '../../src/study/report/textTable.ts'
import { layerNames, sampleStudyResult, sampleWithUndefined } from './sampleStudyResult.ts'

test('the terminal table is aligned and fits 80 columns', () => {
  const lines = formatTable(sampleStudyResult({ objectives: 9 })).split('\n')
  const rows = lines.slice(3, 12)
  assert.is(new Set(rows.map((row) => [...row].length)).size, 1, 'right edges align')
  assert.ok(lines.slice(0, 12).every((line) => [...line].length <= 80))
  assert.match(
    lines[4]!,
    /^Squared error +86\.1 % +0\.688 +23\.0 % +714 +1 min 52 s +77\.2 % +0\.845$/,
  )
  assert.match(lines.at(-2)!, /^\* paper \(ImageNet, full width\): Kornblith et al\. 2021/)
  assert.is(
    lines.at(-1),
    "R² here and in the paper: Spearman's rank correlation 0.88, exact p = 0.0031.",
  )
  for (const row of lines) assert.is(row, row.trimEnd())
})

test('undefined stands in the tables as a word with its reason', () => {
  const result = sampleWithUndefined()
  const softmax = result.objectives[0]!
  softmax.layers.at(-1)!.r2 = null
  const text = formatTable(result)
  assert.match(text, /^Softmax +88\.4 % +undefined/m)
  assert.match(text, /R² of Softmax is undefined in avgpool: no reason was recorded\./)
  assert.match(text, /R² of Squared error is undefined in layer4\.2: all activations/)
  assert.match(text, /CKA between Softmax and Squared error is undefined for 17 pairs of layers/)
  assert.match(markdownTables(result), /\| layer4\.2 \| 0\.590 \| undefined \|/)
})

test('an objective that the paper does not have gets a dash, no column where it has none', () => {
  const result = sampleStudyResult()
  result.objectives[1]!.name = 'constructor'
  assert.match(formatTable(result), /^Squared error .* – +–$/m)
  result.objectives[0]!.name = 'mine'
  assert.not.match(formatTable(result), /paper/)
  assert.is(paperRow('softmax')?.r2, 0.349)
})

test('the CSV holds every number at full precision', () => {
  const result = sampleWithUndefined()
  result.objectives[1]!.undefined = { 'layer4.2.r2': 'zero, "dead"' }
  const lines = csvTable(result).trimEnd().split('\n')
  const [softmax] = result.objectives
  // 4 + 2 of the paper, 3 a layer, 2 an epoch; the rank correlation and its p; and the matrix.
  assert.is(lines.length, 1 + 2 * (6 + 3 * 17 + 2 * 10) + 2 + 17 * 17)
  for (const { name, r2, nonZero, features } of softmax!.layers) {
    assert.ok(lines.includes(`r2,softmax,${name},,,,${r2},`))
    assert.ok(lines.includes(`non_zero,softmax,${name},,,,${nonZero},`))
    assert.ok(lines.includes(`features,softmax,${name},,,,${features},`))
  }
  for (const a of layerNames) {
    assert.ok(
      lines.includes(
        `cka,softmax,${a},squared-error,layer4.2,,,the features of layer4.2 are constant`,
      ),
    )
  }
  assert.ok(lines.includes('r2,squared-error,layer4.2,,,,,"zero, ""dead"""'))
  assert.ok(lines.includes('paper_imagenet_r2,squared-error,avgpool,,,,0.845,'))
})

test('Markdown tables escape what Markdown would read', () => {
  const result = sampleStudyResult()
  result.objectives[0]!.label = 'a|b*c'
  assert.match(markdownTables(result), /^\| a\\\|b\\\*c \| 88\.4 % \|/m)
})

test('findings follow the data', () => {
  const result = sampleStudyResult()
  const has = (pattern: RegExp) =>
    assert.ok(
      findings(result).some((sentence) => pattern.test(sentence)),
      `${pattern} in:\n${findings(result).join('\n')}`,
    )
  has(/R² .* is highest for Squared error \(0\.688\) and lowest for Softmax \(0\.609\)\.$/)
  has(/^CKA between corresponding layers first falls below 0\.5 in layer4\.2 \(0\.463\) for/)
  has(/same order of R² as in the paper’s Table 3/)

  result.objectives[0]!.layers.at(-1)!.r2 = 0.9
  has(/R² .* is highest for Softmax \(0\.900\) and lowest for Squared error \(0\.688\)\.$/)
  has(/do not stand in the order/)
  for (const row of result.cka[0]!.matrix) row.fill(0.5)
  has(/is 0\.5 or more in every layer for Softmax and Squared error \(lowest 0\.500 in layer1\.0\)/)
  result.cka[0]!.matrix[0]![0] = null
  has(/\(lowest 0\.500 in layer1\.1; some are undefined\)/)

  result.objectives[1]!.top1 = 0.1
  has(/^Squared error did no better than guessing among 10 classes \(10\.0 %\)\.$/)
  result.objectives[0]!.layers.at(-1)!.r2 = null
  has(/R² in the penultimate layer \(avgpool\) is 0\.688 for Squared error\.$/)
})

test('findings name the reference of several comparisons', () => {
  const sentences = findings(sampleStudyResult({ objectives: 4, comparisons: 3 }))
  assert.ok(
    sentences.some((sentence) =>
      /^CKA with the same layer of Softmax first falls below 0\.5 in layer4\.2 \(0\.463\) for Squared error and in avgpool \(0\.457\) for Label smoothing\.$/.test(
        sentence,
      ),
    ),
    sentences.join('\n'),
  )
})

test('the order of R² is compared with the paper’s by rank', () => {
  const result = sampleStudyResult({ objectives: 9 })
  const has = (text: string) =>
    assert.ok(
      findings(result).some((one) => one.includes(text)),
      text,
    )
  has('Spearman’s rank correlation is 0.88 (9 objectives, exact two-sided p = 0.0031)')
  assert.ok(csvTable(result).includes('\nspearman_r2_paper,,,,,,0.88'))
  for (const { layers } of result.objectives) layers.at(-1)!.r2 = 0.5
  has('0 of the 36 pairs of objectives stand in the same order')
  assert.not.match(formatTable(result), /Spearman|NaN/)
  assert.not.ok(findings(result).some((one) => /Spearman|NaN/.test(one)))
})

test('Spearman: textbook values, exact p over all orders, ties share their rank', () => {
  const against = (y: number[]) => spearman([1, 2, 3, 4, 5], y)
  // Critical values of Zar (1972), n = 5: 1 at 2/120 both sides, 0.9 at 10/120.
  const ends = {
    '1,2,3,4,5': [1, 2 / 120],
    '5,4,3,2,1': [-1, 2 / 120],
    '1,2,3,5,4': [0.9, 10 / 120],
  }
  for (const [order, [rho, p]] of Object.entries(ends)) {
    const found = against(order.split(',').map(Number))
    // Both are quotients of small whole numbers: only the last digit may differ.
    assert.ok(Math.abs(found.rho - rho!) < 1e-12 && Math.abs(found.p - p!) < 1e-12, order)
  }
  const tied = spearman([1, 1, 2], [10, 20, 30])
  assert.ok(Math.abs(tied.rho - Math.sqrt(3) / 2) < 1e-12)
  assert.ok(Math.abs(tied.p - 4 / 6) < 1e-12)
  assert.ok(Number.isNaN(spearman([1, 1], [1, 2]).rho))
  assert.throws(() => spearman([1, 2, 3], [1, 2]), /3 and 2 values/)
})

test('times read as people write them', () => {
  assert.equal([4.21, 9.96, 59.6, 112, 3599.7, 7300].map(formatSeconds), [
    '4.2 s',
    '10 s',
    '1 min 0 s',
    '1 min 52 s',
    '1 h 0 min',
    '2 h 2 min',
  ])
})

test.run()
