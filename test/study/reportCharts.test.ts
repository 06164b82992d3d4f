import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Chart, renderSvg } from '../../src/study/report/chart.ts'
import { ckaHeatMap } from '../../src/study/report/ckaHeatMap.ts'
import { drawFigures } from '../../src/study/report/figures.ts'
import { placeLabels } from '../../src/study/report/labelPlacement.ts'
import { nonZeroFigure, r2Figure } from '../../src/study/report/layerFigures.ts'
import { layoutLayers } from '../../src/study/report/layerLayout.ts'
import { objectiveStyles } from '../../src/study/report/theme.ts'
import { lossFigure, top1Figure } from '../../src/study/report/trainingFigures.ts'
import { layerNames, sampleStudyResult, sampleWithUndefined } from './sampleStudyResult.ts'

const labels = { a: 'Softmax', b: 'Squared error' }
const titles = (svg: string) => [...svg.matchAll(/<title>([^<]*)<\/title>/g)].map((m) => m[1]!)

function stylesOf(result: ReturnType<typeof sampleStudyResult>) {
  return objectiveStyles(result.objectives.map(({ name }) => name))
}

test('the heat map has a cell with its value for every pair of layers', async () => {
  const comparison = sampleStudyResult().cka[0]!
  for (const compact of [false, true]) {
    const svg = await renderSvg(ckaHeatMap(comparison, labels, compact), 'x')
    const cells = titles(svg)
    assert.is(cells.length, 17 * 17)
    layerNames.forEach((a, i) => {
      layerNames.forEach((b, j) => {
        const text = `${a} and ${b}: CKA ${comparison.matrix[i]![j]!.toFixed(3)}`
        assert.ok(cells.includes(text), text)
      })
    })
    assert.match(svg, />Softmax, layer</)
    assert.match(svg, />Squared error, layer</)
    for (const stage of ['layer1', 'layer2', 'layer3', 'layer4', 'avgpool']) {
      assert.is(svg.split(`>${stage}<`).length - 1, 2, `${stage} on both axes`)
    }
  }
})

test('depth grows upwards and to the right', async () => {
  const comparison = sampleStudyResult().cka[0]!
  const svg = await renderSvg(ckaHeatMap(comparison, labels, false), 'x')
  const corner = (pair: string) => {
    const [, x, y] = new RegExp(`d="M([\\d.]+),([\\d.]+)[^>]*><title>${pair}:`).exec(svg)!
    return { x: Number(x), y: Number(y) }
  }
  const first = corner('layer1.0 and layer1.0')
  const last = corner('avgpool and avgpool')
  const bottomRight = corner('layer1.0 and avgpool')
  assert.ok(last.x > first.x && last.y < first.y)
  assert.ok(bottomRight.x === last.x && bottomRight.y === first.y)
})

test('CKA outside 0..1 takes the end colours and keeps its value', async () => {
  const comparison = structuredClone(sampleStudyResult().cka[0]!)
  comparison.matrix[0]![0] = 1.004
  comparison.matrix[16]![0] = -0.021
  const svg = await renderSvg(ckaHeatMap(comparison, labels, false), 'x')
  assert.match(svg, /fill="rgb\(253, 231, 37\)"><title>layer1\.0 and layer1\.0: CKA 1\.004</)
  assert.match(svg, /fill="rgb\(68, 1, 84\)"><title>avgpool and layer1\.0: CKA -0\.021</)
  assert.match(svg, />-\.02</)
})

test('undefined values are marked and never drawn as 0', async () => {
  const result = sampleWithUndefined()
  const map = await renderSvg(ckaHeatMap(result.cka[0]!, labels, false), 'x')
  const undefinedCells = [...map.matchAll(/fill="([^"]*)"><title>[^<]*CKA undefined</g)]
  assert.is(undefinedCells.length, 17)
  assert.ok(undefinedCells.every((match) => match[1] === '#e1e4e8'))
  assert.match(map, />undefined</)

  const lines = await renderSvg(r2Figure(result, stylesOf(result), false), 'x')
  assert.ok(titles(lines).includes('Squared error, layer4.2: undefined'))
  assert.is(titles(lines).length, 2 * 17)
  assert.match(lines, />undefined</)

  result.objectives[1]!.layers.at(-1)!.r2 = null
  const end = await renderSvg(r2Figure(result, stylesOf(result), true), 'x')
  assert.match(end, />Squared error undefined</)

  const whole = sampleStudyResult()
  assert.not.match(await renderSvg(r2Figure(whole, stylesOf(whole), false), 'x'), /undefined/)
})

test('every point of the line charts carries its number', async () => {
  const result = sampleStudyResult({ objectives: 9 })
  const styles = stylesOf(result)
  const charts: [Chart, number][] = [
    [r2Figure(result, styles, true), 9 * 17],
    [nonZeroFigure(result, styles, false), 9 * 17],
    [lossFigure(result, styles, false), 9 * 10],
    [top1Figure(result, styles, false)!, 9 * 10],
  ]
  for (const [chart, count] of charts) {
    assert.is(titles(await renderSvg(chart, 'x')).length, count)
  }
  const nonZero = titles(await renderSvg(charts[1]![0], 'x'))
  assert.ok(nonZero.includes('Cosine softmax, avgpool: 24.0 %'))
})

test('a diverged loss leaves a gap; top-1 is left out where nobody measured it', async () => {
  const result = sampleStudyResult()
  result.objectives[1]!.history[9]!.loss = Number.NaN
  for (const row of result.objectives.flatMap(({ history }) => history)) delete row.top1
  const svg = await renderSvg(lossFigure(result, stylesOf(result), false), 'x')
  assert.is(titles(svg).length, 19)
  assert.not.match(svg, /NaN/)
  assert.is(top1Figure(result, stylesOf(result), false), undefined)
})

test('one epoch, one objective, one layer', async () => {
  const result = sampleStudyResult({ objectives: 1, comparisons: 0 })
  const only = result.objectives[0]!
  only.history.length = 1
  only.layers.splice(0, 16)
  const styles = stylesOf(result)
  for (const chart of [
    r2Figure(result, styles, true),
    lossFigure(result, styles, true),
    top1Figure(result, styles, true)!,
  ]) {
    const svg = await renderSvg(chart, 'x')
    assert.is(titles(svg).length, 1)
    assert.not.match(svg, /NaN|Infinity/)
  }
})

test('without a finished epoch there is no training figure', async () => {
  const result = sampleStudyResult()
  for (const objective of result.objectives) objective.history = []
  const groups = await drawFigures(result)
  assert.equal(
    groups.map(({ section }) => section),
    ['layers', 'layers', 'cka'],
  )
})

test('layers are laid out by stage', () => {
  const layout = layoutLayers(['a.0', 'a.1', 'b.0', 'pool', 'pool2'], 10, 4)
  assert.equal(
    layout.slots.map(({ start }) => start),
    [0, 10, 24, 38, 52],
  )
  assert.equal(
    layout.stages.map(({ name, start, end, blocks }) => [name, start, end, blocks]),
    [
      ['a', 0, 20, 2],
      ['b', 24, 34, 1],
      ['pool', 38, 48, 1],
      ['pool2', 52, 62, 1],
    ],
  )
  assert.equal(
    layout.slots.map(({ tick }) => tick),
    ['0', '1', '0', '', ''],
  )
  assert.is(layout.length, 62)
})

test('labels keep their order and their distance, and stay in range', () => {
  assert.equal(placeLabels([10, 50], 12, 0, 100), [10, 50])
  assert.equal(placeLabels([50, 50, 50], 10, 0, 100), [40, 50, 60])
  assert.equal(placeLabels([99, 2, 98], 10, 0, 100), [100, 2, 90])
  assert.equal(placeLabels([5, 5, 5], 60, 0, 100), [0, 50, 100])
  assert.equal(placeLabels([], 10, 0, 100), [])
})

test('every objective has a style of its own', () => {
  const names = [...sampleStudyResult({ objectives: 9 }).objectives.map(({ name }) => name)]
  const all = [...objectiveStyles(names).values()]
  assert.is(new Set(all.map(({ colour }) => colour)).size, 9)
  assert.is(new Set(all.map(({ dark }) => dark)).size, 9)
  assert.is(new Set(all.map(({ shape }) => shape)).size, 9)
  const unknown = objectiveStyles(['softmax', 'mine', 'yours', 'toString'])
  assert.is(new Set([...unknown.values()].map(({ colour }) => colour)).size, 4)
})

test.run()
