import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { type Architecture, architectures, ResNet, resnet } from '../../src/nn/resnet.ts'
import { hashValues } from '../../src/selfTest/reference/compare.ts'

// torchvision's own counts: sum(p.numel() for p in resnetN().parameters()), with 1000 classes.
const counts: Record<Architecture, number> = {
  resnet18: 11_689_512,
  resnet34: 21_797_672,
  resnet50: 25_557_032,
  resnet101: 44_549_160,
  resnet152: 60_192_808,
}

test('every architecture has the number of parameters that torchvision gives it', () => {
  for (const [arch, count] of Object.entries(counts) as [Architecture, number][])
    assert.is(new ResNet({ arch, classes: 1000 }).parameters.count, count, arch)
  assert.equal(Object.keys(architectures), Object.keys(counts))
})

test('basic blocks have torchvision names; the last batch norm of each starts at 0 if asked', () => {
  for (const zeroGamma of [true, false]) {
    const { parameters } = new ResNet({ arch: 'resnet18', classes: 10, width: 1 / 16, zeroGamma })
    const names = parameters.parameters.map(({ spec }) => spec.name)
    assert.is(names.length, 62)
    const expected = ['conv1.weight', 'bn1.weight', 'bn1.bias', 'conv2.weight', 'bn2.weight']
    const block = names.filter((name) => name.startsWith('layer2.0.'))
    for (const name of [...expected, 'downsample.0.weight', 'downsample.1.bias'])
      assert.ok(block.includes(`layer2.0.${name}`), name)
    assert.not.ok(names.includes('layer1.0.downsample.0.weight'))
    const last = parameters.parameters.find(({ spec }) => spec.name === 'layer2.0.bn2.weight')!
    const gamma = new Float32Array(1).fill(7)
    last.spec.initial(undefined as never, gamma)
    assert.is(gamma[0], zeroGamma ? 0 : 1)
  }
})

test('stems and pools give the maps that they promise', async () => {
  const gpu = await openGpu()
  for (const [stem, pool, side, expected] of [
    ['imagenet', 'torchvision', 32, 8],
    ['imagenet', 'tf-same', 32, 8],
    ['small', 'torchvision', 8, 8],
  ] as const) {
    const model = resnet(gpu, { arch: 'resnet18', classes: 5, width: 1 / 16, stem, pool })
    const tape = new Tape(gpu, false)
    const images = gpu.upload('f32', [2, side, side, 3], hashValues(2 * side * side * 3, 1))
    const shapes: number[][] = []
    const logits = model.forward(tape, new Tensor(images), {
      training: true,
      onLayer: (_, { shape }) => shapes.push([...shape]),
    })
    assert.equal(shapes[0], [2, expected, expected, 4], `${stem}, ${pool}`)
    assert.is(shapes.length, 9)
    assert.equal(logits.shape, [2, 5])
    tape.dispose()
  }
  gpu.close()
})

test('the paper initialisation: fan-in, cut at two deviations; last layer 0.01 and 0', async () => {
  const gpu = await openGpu()
  const model = resnet(gpu, {
    arch: 'resnet18',
    classes: 100,
    width: 1 / 4,
    init: 'paper',
    seed: 3,
  })
  for (const { spec, value } of model.parameters.parameters) {
    const values = await gpu.read(value.value)
    const square = values.reduce((sum, v) => sum + v * v, 0) / values.length
    if (spec.name === 'fc.bias') assert.ok(values.every((v) => v === 0))
    const sigma =
      spec.layout === 'hwio'
        ? 1 / Math.sqrt(spec.shape[0]! * spec.shape[1]! * spec.shape[2]!)
        : spec.name === 'fc.weight'
          ? 0.01
          : 0
    if (sigma === 0) continue
    // Five standard errors of a normal's deviation, which a cut one's is below.
    const error = Math.abs(Math.sqrt(square) / sigma - 1)
    assert.ok(error < 5 / Math.sqrt(2 * values.length), `${spec.name}: ${Math.sqrt(square)}`)
    // tf.variance_scaling_initializer cuts at 2 deviations of the uncut normal, sigma / 0.8796.
    const most = spec.layout === 'hwio' ? (2 * sigma) / 0.8796 : Number.POSITIVE_INFINITY
    assert.ok(
      values.every((v) => Math.abs(v) < most),
      spec.name,
    )
  }
  gpu.close()
})

test('a copy holds the same values without gradients', async () => {
  const gpu = await openGpu()
  const options = { arch: 'resnet18', classes: 5, width: 1 / 16 } as const
  const source = resnet(gpu, { ...options, seed: 2 })
  const copy = new ResNet(options)
  copy.parameters.allocateCopy(gpu, source.parameters)
  for (const [i, { value }] of copy.parameters.parameters.entries()) {
    const original = source.parameters.parameters[i]!.value
    assert.equal(await gpu.read(value.value), await gpu.read(original.value))
    assert.is(value.requiresGrad, false)
  }
  copy.parameters.release()
  source.parameters.release()
  assert.is(gpu.memory().live, 0)
  gpu.close()
})

test.run()
