import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors, writeSafetensors } from '../../src/data/safetensors.ts'
import { writeNpy } from './arrayFiles.ts'
import { runCli, temporaryFolder } from './runCli.ts'

const folder = await temporaryFolder()
const at = (name: string) => path.join(folder, name)
const fixtures = path.join(packageRoot(), 'test/fixtures/collapse/collapse.safetensors')
const { tensors } = await readSafetensors(fixtures)
const values = (key: string) => tensors.get(`fewClasses/${key}`)!.data as Float32Array
const [n, p] = tensors.get('fewClasses/features')!.shape as [number, number]
const labels = Int32Array.from(values('labels'))

await writeNpy(at('x.npy'), [n, p], values('features'))
await writeNpy(at('labels.npy'), [n], labels)
await writeSafetensors(
  at('weights.safetensors'),
  new Map([['fc.weight', { shape: [10, p], data: values('weights') }]]),
)

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const end = await runCli([...args, '--json'])
  assert.is(end.code, 0, end.stderr)
  return JSON.parse(end.stdout) as Record<string, unknown>
}

test('collapse: the eight columns, with conventions, and null without weights', async () => {
  const args = ['collapse', at('x.npy'), '--labels', at('labels.npy')]
  const columns = ['cvMu', 'cvW', 'stdCosMu', 'stdCosW', 'avgCosMu', 'avgCosW', 'duality', 'trace']
  for (const ddof of ['0', '1']) {
    const result = await json(...args, '--weights', at('weights.safetensors'), '--ddof', ddof)
    const expected = values(ddof === '1' ? 'measuresDdof1' : 'measures')
    for (const [i, column] of columns.entries())
      assert.ok(Math.abs((result[column] as number) - expected[i]!) < 1e-5, column)
    assert.is(result.classes, 10)
  }
  const none = await json(...args)
  assert.is(none.duality, null)
  assert.match((none.undefined as Record<string, string>).duality!, /no weights/)
})

test('hardness and distances, with their densities and pictures', async () => {
  const hard = at('hardness.svg')
  const result = await json(
    ...['collapse', at('x.npy'), '--labels', at('labels.npy'), '--bandwidth', '1e-3'],
    ...['--weights', at('weights.safetensors'), '--hardness', '--svg', hard],
  )
  const { perExample, mean } = result.hardness as { perExample: number[]; mean: number }
  for (const [i, expected] of values('hardness').entries())
    assert.ok(Math.abs(perExample[i]! - expected) < 1e-6)
  assert.ok(mean > 0 && mean < 0.1)
  assert.match(await readFile(hard, 'utf8'), /Angular visual hardness/)
  const far = at('distances.svg')
  const separation = await json(
    ...['separation', at('x.npy'), '--labels', at('labels.npy'), '--distances', '1000'],
    ...['--svg', far],
  )
  const { pairs, meanWithin } = separation.distances as {
    pairs: { within: number }
    meanWithin: number
  }
  const within = values('withinCosine')
  assert.is(pairs.within, within.length)
  // Half a bin of the histogram.
  assert.ok(Math.abs(meanWithin - within.reduce((a, b) => a + b, 0) / within.length) < 5e-4)
  assert.match(await readFile(far, 'utf8'), /Cosine distances between examples/)
})

test('spectrum: activations, centroids and weights, with a picture', async () => {
  const svg = at('spectrum.svg')
  const result = (await json(
    ...['spectrum', at('x.npy'), '--labels', at('labels.npy'), '--svg', svg],
    ...['--weights', at('weights.safetensors')],
  )) as Record<string, { singularValues: number[]; resolution: number }>
  const check = (name: string, expected: Float32Array, got = result[name]!) => {
    assert.is(got.singularValues.length, expected.length, name)
    for (const [i, value] of expected.entries())
      assert.ok(Math.abs(got.singularValues[i]! ** 2 - value ** 2) <= got.resolution ** 2, name)
  }
  check('activations', values('singular'))
  check('centroids', values('centroids'))
  assert.is(result.weights!.singularValues.length, 10)
  assert.match(await readFile(svg, 'utf8'), /Singular values/)
  const centred = (await json(
    ...['spectrum', at('x.npy'), '--labels', at('labels.npy'), '--centre'],
  )) as typeof result
  check('activations', values('singularCentred'), centred.activations)
  check('centroids', values('centroidsCentred'), centred.centroids)
})

test('what does not fit is named in one sentence', async () => {
  await writeNpy(at('narrow.npy'), [10, p - 1], values('weights').subarray(0, 10 * (p - 1)))
  await writeNpy(at('few.npy'), [3, p], values('weights').subarray(0, 3 * p))
  const args = ['collapse', at('x.npy'), '--labels', at('labels.npy')]
  const cases: [string[], number, RegExp][] = [
    [
      [...args, '--weights', at('narrow.npy')],
      1,
      /narrow\.npy is \[10, 23\], expected \[classes, 24\]/,
    ],
    [[...args, '--weights', at('few.npy')], 1, /few\.npy: weights of 3 classes, .* up to 9/],
    [[...args, '--hardness'], 2, /--hardness is an angle to weights/],
    [['separation', at('x.npy'), '--svg', 'a.svg'], 2, /expected --distances too/],
    [[...args, '--ddof', '2'], 2, /--ddof.*Allowed choices are 0, 1/],
    [['collapse', fixtures, '--labels', at('labels.npy')], 1, /has \d+ layers, expected --layer/],
    [['spectrum', at('weights.safetensors'), '--layers', 'fc.bias'], 1, /has no layer fc\.bias/],
    [['spectrum', at('x.npy'), '--weights', at('labels.npy')], 1, /labels\.npy is \[120\]/],
  ]
  for (const [given, code, message] of cases) {
    const end = await runCli(given)
    assert.is(end.code, code, end.stderr)
    assert.match(end.stderr, message)
    assert.is(end.stdout, '')
  }
})

test.run()
