import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { defineOp } from '../../src/autograd/op.ts'
import { add } from '../../src/autograd/ops/add.ts'
import { linear } from '../../src/autograd/ops/linear.ts'
import { relu } from '../../src/autograd/ops/relu.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { weightedSum } from '../../src/selfTest/testOps.ts'

// Small integers: every product and sum below is exact in f32, so results are compared with ===.
const R = [1, -2, 3, 4, 5]

function leaf(gpu: Gpu, values: readonly number[], slot = false): Tensor {
  const shape = [values.length]
  const gradient = slot ? gpu.upload('f32', shape, new Float32Array(5).fill(Number.NaN)) : undefined
  return new Tensor(gpu.upload('f32', shape, Float32Array.from(values)), true, gradient)
}

function dot(tape: Tape, x: Tensor, r: readonly number[]): Tensor {
  const weights = tape.gpu.upload('f32', [r.length], Float32Array.from(r))
  return weightedSum(tape, { x }, { r: weights })
}

async function gradient(gpu: Gpu, tensor: Tensor): Promise<number[]> {
  assert.ok(tensor.gradient, 'no gradient was computed')
  return [...(await gpu.read(tensor.gradient))]
}

const times = (factor: number) => R.map((r) => factor * r)

test('add(x, x) doubles the gradient, in the gradient array where there is one', async () => {
  const gpu = await openGpu()
  for (const slot of [false, true]) {
    const x = leaf(gpu, R, slot)
    const before = x.gradient
    const tape = new Tape(gpu)
    tape.backward(dot(tape, add(tape, { a: x, b: x }, {}), R))
    assert.equal(await gradient(gpu, x), times(2))
    if (slot) assert.is(x.gradient, before)
  }
  gpu.close()
})

test('gradients accumulate over backward passes, times a factor', async () => {
  const gpu = await openGpu()
  for (const slot of [false, true]) {
    const x = leaf(gpu, R, slot)
    if (slot) gpu.clear(x.gradient!)
    for (const factor of [0.5, 2]) {
      const tape = new Tape(gpu)
      // x is used twice, so its gradient is complete only when both uses were walked.
      const sum = add(tape, { a: add(tape, { a: x, b: x }, {}), b: x }, {})
      const leaves = tape.backward(dot(tape, sum, R), { factor, accumulate: true })
      assert.ok(leaves.has(x))
    }
    assert.equal(await gradient(gpu, x), times(7.5))
  }
  gpu.close()
})

const failing = { pass: '' }

const fail = defineOp<{ x: Tensor }, Record<string, never>>()({
  name: 'test.fail',
  gradientCases: [],
  forward(run, { x }) {
    run.temporary('f32', [1000])
    const output = run.gpu.empty('f32', x.shape)
    if (failing.pass === 'forward') throw new Error('midway')
    return { output, saved: { t: run.temporary('f32', [1000]) } }
  },
  backward(run, dy) {
    run.temporary('f32', [500])
    run.gradientOf('x')
    if (failing.pass === 'backward') throw new Error('midway')
    return { x: dy.retain() }
  },
})

test('an op that throws midway leaves nothing behind', async () => {
  const gpu = await openGpu()
  const x = leaf(gpu, R, true)
  const weights = gpu.upload('f32', [5], Float32Array.from(R))
  const before = gpu.memory().live
  for (const pass of ['forward', 'backward']) {
    failing.pass = pass
    const tape = new Tape(gpu)
    assert.throws(() => {
      const y = fail(tape, { x: relu(tape, { x }, {}) }, {})
      tape.backward(weightedSum(tape, { x: relu(tape, { x: y }, {}) }, { r: weights }))
    }, 'midway')
    tape.dispose()
    assert.is(gpu.memory().live, before, pass)
  }
  gpu.close()
})

test('leaves that one gradient is passed on to do not share it', async () => {
  const gpu = await openGpu()
  for (const slot of [false, true]) {
    const [a, b] = [leaf(gpu, R, slot), leaf(gpu, [1, 1, 1, 1, 1], slot)]
    const slots = [a.gradient, b.gradient]
    const first = new Tape(gpu)
    first.backward(dot(first, add(first, { a, b }, {}), R))
    assert.equal(await gradient(gpu, a), R)
    assert.equal(await gradient(gpu, b), R)
    assert.is.not(a.gradient!.storage, b.gradient!.storage)
    if (slot) assert.equal([a.gradient === slots[0], b.gradient === slots[1]], [true, true])
    const second = new Tape(gpu)
    second.backward(dot(second, relu(second, { x: a }, {}), times(10)))
    assert.equal(await gradient(gpu, a), [10, 0, 30, 40, 50])
    assert.equal(await gradient(gpu, b), R, 'untouched by a loss that does not depend on it')
  }
  gpu.close()
})

test('a gradient that is passed on and then added to leaves the other tensor its own', async () => {
  const gpu = await openGpu()
  for (const slot of [false, true])
    for (const swapped of [false, true]) {
      const [a, b] = [leaf(gpu, R, slot), leaf(gpu, [1, 1, 1, 1, 1], slot)]
      const tape = new Tape(gpu)
      // Recorded first, so its share of a's gradient comes second.
      const other = dot(tape, a, [1, 1, 1, 1, 1])
      const sum = add(tape, swapped ? { a: b, b: a } : { a, b }, {})
      tape.backward(add(tape, { a: other, b: dot(tape, sum, R) }, {}))
      assert.equal(
        await gradient(gpu, a),
        R.map((r) => r + 1),
      )
      assert.equal(await gradient(gpu, b), R)
    }
  gpu.close()
})

test('a tensor used three times gets the sum of three gradients', async () => {
  const gpu = await openGpu()
  for (const slot of [false, true]) {
    const x = leaf(gpu, R, slot)
    const tape = new Tape(gpu)
    const twice = add(tape, { a: x, b: relu(tape, { x }, {}) }, {})
    const loss = add(tape, { a: dot(tape, twice, R), b: dot(tape, x, [7, 7, 7, 7, 7]) }, {})
    tape.backward(loss)
    assert.equal(
      await gradient(gpu, x),
      R.map((r) => r + Math.max(r, 0) + 7),
    )
  }
  gpu.close()
})

test('one tensor as both factors of a product', async () => {
  const gpu = await openGpu()
  for (const slot of [false, true]) {
    const values = Float32Array.of(1, 2, 3, 4)
    const gradients = slot ? gpu.zeros('f32', [2, 2]) : undefined
    const x = new Tensor(gpu.upload('f32', [2, 2], values), true, gradients)
    const tape = new Tape(gpu)
    tape.backward(dot(tape, linear(tape, { x, weight: x }, {}), [1, 0, 0, 0]))
    // d (x x)[0, 0] / dx = d (x00^2 + x01 x10) / dx
    assert.equal(await gradient(gpu, x), [2, 3, 2, 0])
  }
  gpu.close()
})

test('a scope gives back what it computed on the way and leaves gradients as they are', async () => {
  const gpu = await openGpu()
  const x = leaf(gpu, R)
  const tape = new Tape(gpu, false)
  const before = gpu.memory().live
  const y = tape.scope(() => {
    const inner = tape.scope(() => add(tape, { a: x, b: x }, {}))
    return relu(tape, { x: add(tape, { a: inner, b: x }, {}) }, {})
  })
  assert.is(gpu.memory().live - before, 256, 'only the result lives')
  assert.equal([...(await gpu.read(y.value))], [3, 0, 9, 12, 15])
  tape.dispose()
  assert.is(gpu.memory().live, before)
  const recorded = new Tape(gpu)
  const z = recorded.scope(() => relu(recorded, { x: add(recorded, { a: x, b: x }, {}) }, {}))
  recorded.backward(dot(recorded, z, R))
  assert.equal(await gradient(gpu, x), [2, 0, 6, 8, 10])
  gpu.close()
})

test('an output that the loss does not use costs nothing and leaves nothing behind', async () => {
  const gpu = await openGpu()
  const [x, unused] = [leaf(gpu, R), leaf(gpu, R)]
  const r = gpu.upload('f32', [5], Float32Array.from(R))
  const before = gpu.memory().live
  const tape = new Tape(gpu)
  relu(tape, { x: unused }, {})
  tape.backward(weightedSum(tape, { x }, { r }))
  assert.is(unused.gradient, undefined)
  assert.equal(await gradient(gpu, x), R)
  assert.is(gpu.memory().live - before, 256, 'the gradient of x')
  gpu.close()
})

test('steps allocate nothing once the gradients have their arrays', async () => {
  const gpu = await openGpu()
  const [a, b] = [leaf(gpu, R), leaf(gpu, R, true)]
  const r = gpu.upload('f32', [5], Float32Array.from(R))
  const step = async () => {
    const tape = new Tape(gpu)
    const y = relu(tape, { x: add(tape, { a, b }, {}) }, {})
    tape.backward(weightedSum(tape, { x: add(tape, { a: y, b: a }, {}) }, { r }))
    await gpu.flush()
  }
  await step()
  await step()
  const { live, created } = gpu.memory()
  for (let i = 0; i < 20; i++) await step()
  assert.is(gpu.memory().live, live)
  assert.is(gpu.memory().created, created)
  gpu.close()
})

test('backward refuses what has no gradient', async () => {
  const gpu = await openGpu()
  const tape = new Tape(gpu)
  const x = leaf(gpu, R)
  assert.throws(
    () => tape.backward(relu(tape, { x }, {})),
    'backward starts from a scalar loss, not from shape [5]',
  )
  const constant = new Tensor(gpu.upload('f32', [5], Float32Array.from(R)))
  assert.throws(
    () => tape.backward(dot(tape, constant, R)),
    'backward: the loss depends on no tensor that wants a gradient',
  )
  const evaluation = new Tape(gpu, false)
  assert.throws(() => evaluation.backward(dot(evaluation, x, R)), /wants a gradient/)
  gpu.close()
})

test.run()
