import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { linear } from '../../src/autograd/ops/linear.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import { linear as reference } from '../../src/selfTest/reference/linear.ts'
import { weightedSum } from '../../src/selfTest/testOps.ts'

// Sums of up to 1,030 products in f32 against float64: measured below 8e-7.
const TOLERANCE = 5e-6

const sizes = [1, 3, 5, 7, 41, 47, 55, 104]
const shapes = [
  ...sizes.map((n, i) => [1, n, sizes[(i + 3) % sizes.length]!] as const),
  ...sizes.map((n, i) => [2 + i * 9, sizes[(i + 5) % sizes.length]!, n] as const),
  // The last batch of an epoch, a batch norm's worth of classes, and more rows than a block sums.
  [1, 512, 10],
  [64, 512, 10],
  [1030, 12, 8],
  [1030, 7, 3],
] as const

test('y, dx, dw and db agree with float64 for batch 1 and odd sizes', async () => {
  const gpu = await openGpu()
  for (const [batch, inputs, outputs] of shapes) {
    const host = {
      x: hashValues(batch * inputs, 1),
      weight: hashValues(inputs * outputs, 2),
      bias: hashValues(outputs, 3),
      dy: hashValues(batch * outputs, 4),
    }
    const wide = Object.fromEntries(
      Object.entries(host).map(([name, v]) => [name, Float64Array.from(v)]),
    ) as Record<keyof typeof host, Float64Array>
    const shape = { x: [batch, inputs], weight: [inputs, outputs], bias: [outputs] }
    const x = new Tensor(gpu.upload('f32', shape.x, host.x), true)
    const weight = new Tensor(gpu.upload('f32', shape.weight, host.weight), true)
    const bias = new Tensor(gpu.upload('f32', shape.bias, host.bias), true)
    const tape = new Tape(gpu)
    const y = tape.keep(linear(tape, { x, weight, bias }, {}))
    const r = gpu.upload('f32', [host.dy.length], host.dy)
    tape.backward(weightedSum(tape, { x: y }, { r }))
    const product = (a: Float64Array, b: Float64Array, rows: number, inner: number) =>
      reference({
        x: { value: a, shape: [rows, inner] },
        weight: { value: b, shape: [inner, b.length / inner] },
      }).value
    const expected = {
      y: reference({
        x: { value: wide.x, shape: shape.x },
        weight: { value: wide.weight, shape: shape.weight },
        bias: { value: wide.bias, shape: shape.bias },
      }).value,
      dx: product(wide.dy, transpose(wide.weight, inputs), batch, outputs),
      dw: product(transpose(wide.x, batch), wide.dy, inputs, batch),
      db: product(new Float64Array(batch).fill(1), wide.dy, 1, batch),
    }
    const actual = { y: y.value, dx: x.gradient!, dw: weight.gradient!, db: bias.gradient! }
    for (const name of ['y', 'dx', 'dw', 'db'] as const) {
      const error = relativeError(await gpu.read(actual[name]), expected[name])
      assert.ok(error < TOLERANCE, `[${batch}, ${inputs}] x ${outputs}, ${name}: ${error}`)
    }
  }
  gpu.close()
})

function transpose(matrix: Float64Array, rows: number): Float64Array {
  const columns = matrix.length / rows
  return matrix.map((_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]!)
}

test('refuses shapes that do not fit before it dispatches or allocates anything', async () => {
  const gpu = await openGpu()
  const tape = new Tape(gpu)
  const make = (...shape: number[]) => new Tensor(gpu.zeros('f32', shape), true)
  const cases: [{ x: Tensor; weight: Tensor; bias?: Tensor }, string][] = [
    [{ x: make(2, 1, 3), weight: make(3, 4) }, 'linear: x is [2,1,3], expected [N, in]'],
    [{ x: make(0, 3), weight: make(3, 4) }, 'linear: x is [0,3], expected [N, in]'],
    [{ x: make(2, 3), weight: make(3) }, 'linear: weight is [3], expected [in, out]'],
    [{ x: make(2, 3), weight: make(4, 3) }, 'linear: weight has 4 input features, x has 3'],
    [{ x: make(2, 3), weight: make(3, 4), bias: make(3) }, 'linear: bias is [3], expected [4]'],
    [
      { x: make(2, 3), weight: make(3, 4), bias: make(1, 4) },
      'linear: bias is [1,4], expected [4]',
    ],
  ]
  await gpu.flush()
  const { live } = gpu.memory()
  const { program } = await gpu.record(() => {
    for (const [inputs, message] of cases)
      assert.throws(
        () => linear(tape, inputs, {}),
        (error: Error) => error.message === message,
      )
  })
  assert.is(program.dispatches, 0)
  assert.is(gpu.memory().live, live)
  gpu.close()
})

test.run()
