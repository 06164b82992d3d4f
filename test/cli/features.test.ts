import { readFile, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeSafetensors } from '../../src/data/safetensors.ts'
import { normals } from '../devices.ts'
import { centredRows, ckaReference, rowsOf, separationReference } from '../reference/similarity.ts'
import { writeNpy } from './arrayFiles.ts'
import { assertRefusals, type Refusal, runCli, temporaryFolder } from './runCli.ts'

// f32 sums against float64, see test/analysis.
const TOLERANCE = 1e-5

const folder = await temporaryFolder()
const at = (name: string) => path.join(folder, name)
const n = 60

const x = normals(n * 6, 1).map((value) => value + 5)
const y = normals(n * 8, 2).map((value, i) => value + x[Math.floor(i / 8) * 6 + (i % 6)]!)
const z = normals(n * 10, 3).map((value, i) => Math.max(0, value + y[Math.floor(i / 10) * 8]! - 5))
const labels = Int32Array.from({ length: n }, (_, i) => (i * i) % 5)
await writeNpy(at('x.npy'), [n, 2, 3], x)
await writeNpy(at('y.npy'), [n, 8], Float64Array.from(y))
await writeNpy(at('labels.npy'), [n], BigInt64Array.from(labels, BigInt))
await writeSafetensors(
  at('a.safetensors'),
  new Map([
    ['layer1.0', { shape: [n, 2, 3], data: x }],
    ['layer1.1', { shape: [n, 8], data: y }],
    ['labels', { shape: [n], data: labels }],
  ]),
)
await writeSafetensors(
  at('b.safetensors'),
  new Map([
    ['layer1.0', { shape: [n, 8], data: Float64Array.from(y) }],
    ['avgpool', { shape: [n, 10], data: z }],
    ['constant', { shape: [n, 2], data: new Float32Array(2 * n).fill(3) }],
  ]),
)

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const end = await runCli([...args, '--json'])
  assert.is(end.code, 0, end.stderr)
  assert.is(end.stdout.trim().split('\n').length, 1, 'one line on stdout')
  return JSON.parse(end.stdout) as Record<string, unknown>
}

function near(got: unknown, expected: number, what: string): void {
  assert.ok(
    typeof got === 'number' && Math.abs(got - expected) < TOLERANCE,
    `${what}: ${got}, expected ${expected}`,
  )
}

test('cka of two arrays, by either estimator, and of one with itself', async () => {
  const rows = [[rowsOf(x, n), rowsOf(y, n)]] as const
  const unbiased = await json('cka', at('x.npy'), at('y.npy'))
  const expected = ckaReference(rows)
  near(unbiased.cka, expected.cka, 'unbiased')
  near((unbiased.hsicXY as number) / expected.xy, 1, 'HSIC')
  assert.is(unbiased.n, n)
  assert.is(unbiased.batches, 1)
  const biased = await json('cka', at('x.npy'), at('y.npy'), '--estimator', 'biased')
  near(biased.cka, ckaReference(rows, 'biased').cka, 'biased')
  const self = await json('cka', at('x.npy'), at('x.npy'), '--batch', '17', '--epochs', '3')
  // Equal layers take the same path through the same code.
  assert.is(self.cka, 1)
  assert.is(self.n, 3 * n)
  assert.is(self.batches, 12)
})

test('cka of all pairs of layers of two files, in minibatches, with a picture', async () => {
  const [svg, png] = [at('cka.svg'), at('cka.png')]
  const args = ['cka', at('a.safetensors'), at('b.safetensors'), '--layers-b', 'layer1.0,constant']
  const result = await json(
    ...[...args, '--layers', 'layer1.1,layer1.0', '--batch', '20', '--no-shuffle'],
    ...['--svg', svg, '--png', png, '--memory', '8MiB'],
  )
  assert.equal(result.layersA, ['layer1.1', 'layer1.0'])
  assert.equal(result.layersB, ['layer1.0', 'constant'])
  const matrix = result.matrix as (number | null)[][]
  const batches = [0, 20, 40].map(
    (first) =>
      [rowsOf(x, n).slice(first, first + 20), rowsOf(y, n).slice(first, first + 20)] as const,
  )
  near(matrix[1]![0], ckaReference(batches).cka, 'layer1.0 of both')
  near(matrix[0]![0], 1, 'the same features')
  assert.is(matrix[0]![1], null)
  const reasons = result.undefined as Record<string, string>
  assert.match(reasons['layer1.1/constant']!, /constant of B with itself is 0/)
  assert.match(await readFile(svg, 'utf8'), /layer1\.1 and layer1\.0: CKA 1\.000/)
  assert.equal([...(await readFile(png)).subarray(1, 4)], [0x50, 0x4e, 0x47])
  const again = await json(...args, '--batch', '20', '--seed', '3')
  assert.equal((await json(...args, '--batch', '20', '--seed', '3')).matrix, again.matrix)
})

test('separation by three distances, of one array and of all layers of a file', async () => {
  const expected = (data: Float32Array) => {
    const rows = rowsOf(data, n)
    return {
      cosine: separationReference(rows, labels, 5).r2,
      cosineCentered: separationReference(centredRows(rows, 'example', labels), labels, 5).r2,
      euclidean: separationReference(rows, labels, 5, 'euclidean').r2,
    }
  }
  const one = await json('separation', at('x.npy'), '--labels', at('labels.npy'))
  for (const [name, value] of Object.entries(expected(x))) near(one[name], value, name)
  assert.is(one.n, n)
  assert.is(one.classes, new Set(labels).size)
  const perClass = one.perClass as ({ n: number; euclidean: number } | null)[]
  assert.is(perClass[2], null)
  const count = labels.filter((label) => label === 1).length
  assert.is(perClass[1]!.n, count)
  const all = await json('separation', at('a.safetensors'))
  const layers = all.layers as Record<string, Record<string, unknown>>
  assert.equal(Object.keys(layers), ['layer1.0', 'layer1.1'])
  for (const [name, value] of Object.entries(expected(y)))
    near(layers['layer1.1']![name], value, name)
  const constant = await json(
    ...['separation', at('b.safetensors'), '--layers', 'constant', '--labels', at('labels.npy')],
  )
  for (const name of ['cosine', 'cosineCentered', 'euclidean']) {
    assert.is(constant[name], null)
    assert.type((constant.undefined as Record<string, string>)[name], 'string')
  }
})

test('sparsity counts exactly', async () => {
  const expected = z.filter((value) => value !== 0).length / z.length
  const one = await json('sparsity', at('b.safetensors'), '--layers', 'avgpool')
  assert.is(one.nonZero, expected)
  const all = await json('sparsity', at('b.safetensors'))
  assert.equal(Object.keys(all.layers as object), ['avgpool', 'constant', 'layer1.0'])
})

test('what does not fit is named in one sentence', async () => {
  const [good, other] = [at('x.npy'), at('y.npy')]
  const bad = x.slice()
  bad[3 * 6 + 4] = Number.NaN
  await writeNpy(at('nan.npy'), [n, 6], bad)
  await writeNpy(at('inf.npy'), [n, 1], new Float64Array(n).fill(1e300))
  await writeNpy(at('short.npy'), [20, 6], x.subarray(0, 120))
  await writeNpy(at('three.npy'), [3, 6], x.subarray(0, 18))
  await writeNpy(at('big.npy'), [n, 6], x, { descr: '>f4' })
  await writeNpy(at('fortran.npy'), [n, 6], x, { order: 'True' })
  await writeNpy(at('objects.npy'), [2], new Float64Array(2), { descr: '|O' })
  await writeNpy(at('half.npy'), [n, 12], x, { descr: '<f2' })
  await writeNpy(at('cut.npy'), [n, 6], x.subarray(0, 100))
  await writeNpy(at('flat.npy'), [n * 6], x)
  await writeNpy(
    at('negative.npy'),
    [n],
    labels.map((label) => label - 1),
  )
  await writeNpy(at('float.npy'), [n], new Float32Array(n))
  await writeFile(at('text.npy'), 'no array')
  await writeFile(at('x.csv'), '1,2')
  await writeFile(at('cut.safetensors'), await readFile(at('a.safetensors')))
  await truncate(at('cut.safetensors'), 700)
  const cases: Refusal[] = [
    [['cka', good, at('short.npy')], 1, /short\.npy has 20 examples, but .*x\.npy has 60/],
    [
      ['cka', at('three.npy'), at('three.npy')],
      1,
      /three\.npy has 3 examples, expected at least 4/,
    ],
    [['cka', good, at('nan.npy')], 1, /nan\.npy holds NaN at example 3, feature 4/],
    [['cka', good, at('inf.npy')], 1, /inf\.npy holds Infinity at example 0, feature 0/],
    [['cka', good, at('big.npy')], 1, /big\.npy is big-endian \(dtype >f4\)/],
    [['cka', good, at('fortran.npy')], 1, /fortran\.npy is in Fortran order/],
    [['cka', good, at('objects.npy')], 1, /objects\.npy holds pickled Python objects/],
    [['cka', good, at('half.npy')], 1, /half\.npy has dtype <f2: expected/],
    [
      ['cka', good, at('cut.npy')],
      1,
      /cut\.npy is truncated: it has 400 bytes of data, expected 1440/,
    ],
    [['cka', good, at('flat.npy')], 1, /flat\.npy is \[360\], expected \[n, p\]/],
    [['cka', good, at('text.npy')], 1, /text\.npy does not begin as a \.npy file does/],
    [['cka', good, at('x.csv')], 1, /x\.csv is neither a \.npy nor a \.safetensors file/],
    [['cka', good, at('none.npy')], 1, /none\.npy cannot be read: it does not exist/],
    [['cka', at('cut.safetensors'), good], 1, /cut\.safetensors: tensor 'layer1\..'.*truncated/],
    [
      ['cka', at('a.safetensors'), good, '--layers', 'layer9'],
      1,
      /a\.safetensors has no layer layer9, expected one of .*layer1\.0/,
    ],
    [['cka', good, other, '--memory', '1kB'], 1, /Gram matrices of 2 layers and 60 examples need/],
    [['cka', good, other, '--batch', '3'], 2, /--batch.*at least 4/],
    [['cka', good, other, '--memory', 'lots'], 2, /--memory.*as in 512MiB/],
    [['cka', good, other, '--estimator', 'best'], 2, /--estimator.*unbiased, biased/],
    [['separation', good, '--labels', at('short.npy')], 1, /labels are \[20, 6\], expected \[60\]/],
    [['separation', good, '--labels', at('negative.npy')], 1, /label 0 is -1/],
    [['separation', good, '--labels', at('float.npy')], 1, /labels are F32, expected integers/],
    [['separation', at('b.safetensors')], 1, /b\.safetensors has no labels/],
    [['sparsity', at('nan.npy')], 1, /nan\.npy holds NaN/],
  ]
  await assertRefusals(cases)
})

test.run()
