import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { streamCka } from '../../src/analysis/streamCka.ts'
import { FeatureFile, readLabels } from '../../src/cli/featureFiles.ts'
import { writeSafetensors } from '../../src/data/safetensors.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { normals } from '../devices.ts'
import { ckaReference, rowsOf } from '../reference/similarity.ts'
import { thrown } from '../thrown.ts'
import { encodeNpy, writeNpy } from './arrayFiles.ts'
import { runCli, temporaryFolder } from './runCli.ts'

const [N, P, Q] = [50, 37, 12]
const folder = await temporaryFolder()
const at = (name: string) => path.join(folder, name)
const x = normals(N * P, 1)
const y = normals(N * Q, 2).map((value, i) => value + x[Math.floor(i / Q) * P + (i % Q)]!)
const gpu = await openGpu()

await writeNpy(at('x.npy'), [N, P], x)
await writeNpy(at('y.npy'), [N, 3, 4], Float64Array.from(y))
await writeSafetensors(
  at('layers.safetensors'),
  new Map([
    ['block1', { shape: [N, P], data: x }],
    ['block2', { shape: [N, 3, 4], data: y }],
    ['labels', { shape: [N], data: Int32Array.from({ length: N }, (_, i) => i % 5) }],
  ]),
)

async function ckaOf(a: string, b: string, options: Parameters<typeof streamCka>[3] = {}) {
  const files = [await FeatureFile.open(a), await FeatureFile.open(b)] as const
  try {
    return await streamCka(gpu, files[0].layers, files[1].layers, options)
  } finally {
    for (const file of files) file.close()
  }
}

test('cka of files in pieces is that of their arrays, over all epochs of minibatches', async () => {
  const whole = await ckaOf(at('x.npy'), at('y.npy'))
  const expected = ckaReference([[rowsOf(x, N), rowsOf(y, N)]])
  // f32 Gram entries against float64, as in test/analysis/cka.test.ts.
  assert.ok(Math.abs(whole.matrix[0]![0]! - expected.cka) < 1e-5)
  // 15, 15 and the rest with it: 20 rows; the least memory cuts the 37 features into tiles.
  const stacked = { batch: 15, epochs: 3, seed: 4 }
  const pieces = await ckaOf(at('layers.safetensors'), at('layers.safetensors'), stacked)
  assert.is(pieces.batches, 12)
  assert.is(pieces.n, 3 * N)
  assert.is(pieces.matrix[0]![0], 1)
  assert.is(pieces.matrix[1]![1], 1)
  const tiny = await ckaOf(at('x.npy'), at('y.npy'), { ...stacked, memory: 100_000 })
  assert.ok(Math.abs(tiny.matrix[0]![0]! - pieces.matrix[0]![1]!) < 1e-6, 'other tiles')
  assert.ok(tiny.timing.gramOperations === 3 * (P + Q) * (3 * 15 * 16 + 5 * 6))
})

test('files that cannot be read as features are named in one sentence', async () => {
  const values = Float32Array.from({ length: 8 }, (_, i) => i)
  const npy = async (name: string, bytes: Uint8Array) => writeFile(at(name), bytes)
  await npy('big.npy', encodeNpy([2, 4], values, { descr: '>f4' }))
  await npy('fortran.npy', encodeNpy([2, 4], values, { order: 'True' }))
  await npy('pickled.npy', encodeNpy([2, 4], values, { descr: '|O' }))
  await npy('records.npy', encodeNpy([2, 4], values, { descr: '<c8' }))
  await npy('short.npy', encodeNpy([3, 4], values))
  await npy('flat.npy', encodeNpy([8], values))
  await npy('empty.npy', encodeNpy([0, 4], new Float32Array()))
  await npy('text.npy', Buffer.from('1 2 3\n4 5 6\n'))
  const whole = await readFile(at('layers.safetensors'))
  const cut = whole.subarray(0, whole.length - 100)
  await writeFile(at('cut.safetensors'), cut)
  await writeFile(at('head.safetensors'), cut.subarray(0, 40))
  const labels = { shape: [N], data: new Int32Array(N) }
  await writeSafetensors(at('none.safetensors'), new Map([['labels', labels]]))
  const cases: [string, string[] | undefined, RegExp][] = [
    ['big.npy', undefined, /big\.npy is big-endian \(dtype >f4\): expected/],
    ['fortran.npy', undefined, /fortran\.npy is in Fortran order, expected C order/],
    ['pickled.npy', undefined, /pickled\.npy holds pickled Python objects/],
    ['records.npy', undefined, /records\.npy has dtype <c8/],
    ['short.npy', undefined, /short\.npy is truncated: it has 32 bytes of data, expected 48/],
    ['flat.npy', undefined, /flat\.npy is \[8\], expected \[n, p\] or \[n, \.\.\., p\]/],
    ['empty.npy', undefined, /empty\.npy is \[0, 4\], expected/],
    ['text.npy', undefined, /text\.npy does not begin as a \.npy file does/],
    ['cut.safetensors', undefined, /cut\.safetensors.*'\w+'.*truncated/],
    ['head.safetensors', undefined, /head\.safetensors/],
    ['none.safetensors', undefined, /none\.safetensors has no features: none of labels/],
    ['layers.safetensors', ['block3'], /layers\.safetensors has no layer block3, expected one of/],
    ['missing.npy', undefined, /missing\.npy/],
    ['x.txt', undefined, /x\.txt is neither a \.npy nor a \.safetensors file/],
  ]
  for (const [name, layers, message] of cases) {
    const { message: text } = await thrown(() => FeatureFile.open(at(name), layers))
    assert.match(text, message)
    assert.not.match(text, /\n/, 'one sentence')
  }
})

test('features and labels that do not fit: NaN, other examples, too few', async () => {
  const broken = x.map((value, i) => (i === 7 * P + 3 ? Number.NaN : value))
  await writeSafetensors(at('nan.safetensors'), new Map([['b', { shape: [N, P], data: broken }]]))
  await writeNpy(at('infinite.npy'), [2, 4], Float64Array.from([1, 2, 3, 4, 5, 1e39, 7, 8]))
  await writeNpy(at('three.npy'), [3, 4], x.subarray(0, 12))
  await writeNpy(at('fewer.npy'), [N - 1, 4], x.subarray(0, 4 * (N - 1)))
  await writeNpy(at('float.npy'), [N], x.subarray(0, N))
  await writeNpy(at('negative.npy'), [N], new Int32Array(N).fill(-1))
  const cases: [() => Promise<unknown>, RegExp][] = [
    [
      () => ckaOf(at('nan.safetensors'), at('x.npy')),
      /nan\.safetensors: b holds NaN at example 7, feature 3, expected finite/,
    ],
    [() => ckaOf(at('x.npy'), at('fewer.npy')), /fewer\.npy has 49 examples, but .*x\.npy has 50/],
    [
      () => ckaOf(at('three.npy'), at('three.npy')),
      /three\.npy has 3 examples, expected at least 4/,
    ],
    [() => ckaOf(at('x.npy'), at('y.npy'), { memory: 1000 }), /MiB, but 1 MiB of memory are given/],
    [() => readLabels(at('fewer.npy'), N), /fewer\.npy: labels are \[49, 4\], expected \[50\]/],
    [() => readLabels(at('float.npy'), N), /float\.npy: labels are F32, expected integers/],
    [() => readLabels(at('negative.npy'), N), /negative\.npy: label 0 is -1, expected an integer/],
    [() => readLabels(at('x.safetensors'), N), /x\.safetensors/],
  ]
  for (const [body, message] of cases) assert.match((await thrown(body)).message, message)
  const infinite = await FeatureFile.open(at('infinite.npy'))
  assert.throws(
    () => infinite.layers[0]!.read(Uint32Array.of(0, 1), 0, 4),
    /infinite\.npy holds Infinity at example 1, feature 1/,
  )
  infinite.close()
})

test('every command on a file that does not fit: one sentence, nothing on stdout', async () => {
  const cases: [string[], RegExp][] = [
    [['cka', at('x.npy'), at('pickled.npy')], /pickled\.npy holds pickled Python objects/],
    [['cka', at('nan.safetensors'), at('x.npy')], /nan\.safetensors: b holds NaN at example 7/],
    [['separation', at('x.npy'), '--labels', at('fewer.npy')], /fewer\.npy: labels are/],
    [['sparsity', at('big.npy')], /big\.npy is big-endian/],
    [['collapse', at('fortran.npy'), '--labels', at('x.npy')], /fortran\.npy is in Fortran order/],
    [['spectrum', at('cut.safetensors')], /cut\.safetensors.*truncated/],
  ]
  for (const [given, message] of cases) {
    const end = await runCli([...given, '--json'])
    assert.is(end.code, 1, end.stderr)
    assert.match(end.stderr, message)
    assert.is(end.stdout, '')
    assert.not.match(end.stderr, /\n\s+at /, 'no stack trace')
  }
})

interface Report {
  readonly cka: number
  readonly hsicXX: number
  readonly n: number
  readonly batches: number
  readonly classes: number
  readonly cosine: number | null
  readonly euclidean: number | null
  readonly nonZero: number
  readonly undefined: Readonly<Record<string, string>>
}

test('cka, separation and sparsity by the command line', async () => {
  const json = async (...args: string[]) => {
    const end = await runCli([...args, '--json'])
    assert.is(end.code, 0, end.stderr)
    return JSON.parse(end.stdout) as Report
  }
  const { cka, hsicXX, n, batches } = await json(
    'cka',
    at('x.npy'),
    at('y.npy'),
    '--memory',
    '1MiB',
  )
  const expected = ckaReference([[rowsOf(x, N), rowsOf(y, N)]])
  assert.ok(Math.abs(cka - expected.cka) < 1e-5 && Math.abs(hsicXX / expected.xx - 1) < 1e-5)
  assert.equal([n, batches], [N, 1])
  const layers = at('layers.safetensors')
  const separation = await json('separation', layers, '--layers', 'block2')
  assert.is(separation.classes, 5)
  assert.ok(separation.cosine !== null && separation.euclidean !== null)
  const sparsity = await json('sparsity', layers, '--layers', 'block1')
  assert.is(sparsity.nonZero, 1)
  await writeNpy(at('zeros.npy'), [N], new Int32Array(N))
  const undefinedOf = await json('separation', at('x.npy'), '--labels', at('zeros.npy'))
  assert.is(undefinedOf.cosine, null)
  assert.match(undefinedOf.undefined.cosine!, /one class/)
})

test.after(() => gpu.close())

test.run()
