import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { ResNet, resnet50 } from '../../src/nn/resnet.ts'
import {
  fromTorchLayout,
  loadStateDict,
  readStateDict,
  type StoredTensor,
  torchShape,
  toTorchLayout,
} from '../../src/nn/stateDict.ts'

const gpu = await openGpu()
test.after(() => gpu.close())

/** torchvision's state_dict of resnet50: names and shapes, for a number of planes and classes. */
function torchvisionShapes(planes: number, classes: number): Record<string, number[]> {
  const shapes: Record<string, number[]> = {}
  const norm = (name: string, channels: number) => {
    for (const entry of ['weight', 'bias', 'running_mean', 'running_var'])
      shapes[`${name}.${entry}`] = [channels]
    shapes[`${name}.num_batches_tracked`] = []
  }
  shapes['conv1.weight'] = [planes, 3, 7, 7]
  norm('bn1', planes)
  let channels = planes
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const inner = planes * 2 ** stage
    for (let block = 0; block < blocks; block++) {
      const name = `layer${stage + 1}.${block}`
      shapes[`${name}.conv1.weight`] = [inner, channels, 1, 1]
      norm(`${name}.bn1`, inner)
      shapes[`${name}.conv2.weight`] = [inner, inner, 3, 3]
      norm(`${name}.bn2`, inner)
      shapes[`${name}.conv3.weight`] = [4 * inner, inner, 1, 1]
      norm(`${name}.bn3`, 4 * inner)
      if (block === 0) {
        shapes[`${name}.downsample.0.weight`] = [4 * inner, channels, 1, 1]
        norm(`${name}.downsample.1`, 4 * inner)
      }
      channels = 4 * inner
    }
  }
  shapes['fc.weight'] = [classes, channels]
  shapes['fc.bias'] = [classes]
  return shapes
}

function byName<T>(entries: Iterable<[string, T]>): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)))
}

test('HWIO becomes OIHW, [in, out] becomes [out, in], and back to the same values', () => {
  const [R, S, I, O] = [2, 3, 4, 5]
  const hwio = Float32Array.from({ length: R * S * I * O }, (_, i) => i + 0.5)
  const oihw = toTorchLayout('hwio', [R, S, I, O], hwio)
  assert.equal(torchShape('hwio', [R, S, I, O]), [O, I, R, S])
  for (let r = 0; r < R; r++)
    for (let s = 0; s < S; s++)
      for (let i = 0; i < I; i++)
        for (let o = 0; o < O; o++)
          assert.is(oihw[((o * I + i) * R + r) * S + s], hwio[((r * S + s) * I + i) * O + o])
  assert.equal(fromTorchLayout('hwio', [R, S, I, O], oihw), hwio)

  const weight = Float32Array.of(1, 2, 3, 4, 5, 6)
  assert.equal(torchShape('in-out', [2, 3]), [3, 2])
  const transposed = toTorchLayout('in-out', [2, 3], weight)
  assert.equal(transposed, Float32Array.of(1, 4, 2, 5, 3, 6))
  assert.equal(fromTorchLayout('in-out', [2, 3], transposed), weight)

  const vector = Float32Array.of(1, 2, 3)
  assert.equal(torchShape('vector', [3]), [3])
  assert.equal(toTorchLayout('vector', [3], vector), vector)
  assert.equal(fromTorchLayout('vector', [3], vector), vector)
})

test('ResNet-50 has the parameters of torchvision: names, shapes and number', () => {
  const { parameters: set } = new ResNet({ classes: 1000 })
  const expected = torchvisionShapes(64, 1000)
  const found: [string, readonly number[]][] = []
  for (const { spec } of set.parameters)
    found.push([spec.name, torchShape(spec.layout, spec.shape)])
  for (const { spec } of set.buffers) found.push([spec.name, spec.shape])
  const tracked = Object.entries(expected).filter(([name]) => name.endsWith('batches_tracked'))
  assert.equal(byName([...found, ...tracked]), byName(Object.entries(expected)))
  assert.is(Object.keys(expected).length, 320)
  assert.is(set.parameters.length, 161)
  assert.is(set.count, 25_557_032)
})

test('reading gives the 320 entries of torchvision, loading them gives the same model', async () => {
  const source = resnet50(gpu, { classes: 7, width: 1 / 16, seed: 3 })
  const state = await readStateDict(gpu, source.parameters, 41)
  const shapes = byName([...state].map(([name, { shape }]) => [name, shape]))
  assert.equal(shapes, byName(Object.entries(torchvisionShapes(4, 7))))
  for (const [name, { data }] of state)
    if (name.endsWith('num_batches_tracked')) assert.equal(data, BigInt64Array.of(41n), name)
  for (const { spec, value } of source.parameters.buffers)
    gpu.write(
      value,
      Float32Array.from({ length: spec.shape[0]! }, (_, i) => i + 0.25),
    )
  const changed = await readStateDict(gpu, source.parameters, 41)
  const target = resnet50(gpu, { classes: 7, width: 1 / 16, seed: 4 })
  assert.not.equal(await readStateDict(gpu, target.parameters, 41), changed)
  loadStateDict(gpu, target.parameters, changed)
  assert.equal(await readStateDict(gpu, target.parameters, 41), changed)
  // A parameter reads its own slice of the group, in our layout.
  const index = source.parameters.parameters.findIndex(({ spec }) => spec.name === 'fc.weight')
  const [ours, theirs] = [source, target].map(({ parameters }) => parameters.parameters[index]!)
  const values = await gpu.read(theirs!.value.value)
  assert.equal(values, await gpu.read(ours!.value.value))
  const stored = changed.get('fc.weight')!.data as Float32Array
  assert.equal(fromTorchLayout('in-out', theirs!.spec.shape, stored), values)
  for (const model of [source, target]) model.parameters.release()
  assert.is(gpu.memory().live, 0)
})

test('a tensor that is missing, mis-shaped or not float32 is named, and nothing is loaded', async () => {
  const model = resnet50(gpu, { classes: 7, width: 1 / 16, seed: 3 })
  const before = await readStateDict(gpu, model.parameters, 0)
  const other = resnet50(gpu, { classes: 7, width: 1 / 16, seed: 4 })
  const good = await readStateDict(gpu, other.parameters, 0)
  const wrong: [string, StoredTensor | undefined, string][] = [
    ['conv1.weight', undefined, 'tensor conv1.weight is missing'],
    ['fc.bias', undefined, 'tensor fc.bias is missing'],
    ['layer4.2.bn3.running_var', undefined, 'tensor layer4.2.bn3.running_var is missing'],
    [
      'conv1.weight',
      { shape: [7, 7, 3, 4], data: new Float32Array(588) },
      'tensor conv1.weight is [7,7,3,4], expected [4,3,7,7]',
    ],
    [
      'fc.bias',
      { shape: [7], data: new BigInt64Array(7) },
      'tensor fc.bias is not float32, expected float32',
    ],
  ]
  for (const [name, tensor, message] of wrong) {
    const state = new Map<string, StoredTensor>(good)
    if (tensor) state.set(name, tensor)
    else state.delete(name)
    assert.throws(
      () => loadStateDict(gpu, model.parameters, state),
      (error: Error) => error.message === message,
    )
    assert.equal(await readStateDict(gpu, model.parameters, 0), before, message)
  }
  for (const { parameters } of [model, other]) parameters.release()
})

test.run()
