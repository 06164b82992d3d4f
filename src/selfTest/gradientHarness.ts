import type { GradientCase, RegisteredOp } from '../autograd/op.ts'
import { add } from '../autograd/ops/add.ts'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'
import { hashValues } from './reference/compare.ts'
import { type HostTensor, hostAttributes, zeros } from './reference/hostTensor.ts'
import { kinks, references } from './reference/references.ts'
import { scale, weightedSum } from './testOps.ts'

export type Inputs = Readonly<Record<string, HostTensor>>

/** Inputs that are one tensor: `aliases[b] = a` passes a's tensor as b too. */
export type Aliases = Readonly<Record<string, string>>

/** An op on drawn inputs in the middle of a graph, loss = <r, op(inputs)> + <q, inputs[also]>. */
export interface Problem {
  readonly op: RegisteredOp
  readonly gradientCase: GradientCase<string, unknown>
  readonly inputs: Inputs
  readonly aliases: Aliases
  readonly attributes: unknown
  readonly output: HostTensor
  /** Weights of the output in the loss, with its coefficient in them. */
  readonly r: Float32Array
  readonly q: Float32Array
  readonly also: string
}

const STEP = 1e-6
const KINK_MARGIN = 1e-4
const DIRECTIONS = 32
const COEFFICIENT = 1.75
const FACTOR = 0.5

/**
 * Values evenly spaced over [-0.5, 0.5) in a hashed order, exact in f32: no two are closer than 1/n,
 * none is closer to 0 than 1/4n, so a step of a finite difference crosses no tie and no kink at 0.
 */
function spacedValues(length: number, seed: number): Float32Array {
  const hashed = hashValues(length, seed)
  const order = [...hashed.keys()].sort((a, b) => hashed[a]! - hashed[b]!)
  const values = new Float32Array(length)
  for (const [rank, i] of order.entries()) values[i] = (rank + 0.75) / length - 0.5
  return values
}

function draw(gradientCase: GradientCase<string, unknown>, seed: number, aliases: Aliases): Inputs {
  const inputs: Record<string, HostTensor> = {}
  for (const [name, shape] of Object.entries(gradientCase.shapes)) {
    const of = aliases[name]
    const length = zeros(shape!).length
    const value = Float64Array.from(spacedValues(length, 100 * seed + Object.keys(inputs).length))
    inputs[name] = of ? inputs[of]! : { value, shape: shape! }
  }
  return inputs
}

/** Draws inputs for a gradient case, those of `aliases` shared, with every kink at a distance. */
export async function pose(
  gpu: Gpu,
  op: RegisteredOp,
  gradientCase: GradientCase<string, unknown>,
  aliases: Aliases = {},
): Promise<Problem> {
  const onDevice = gradientCase.attributes(gpu)
  const attributes = await hostAttributes(gpu, onDevice)
  releaseArrays(onDevice)
  const names = Object.keys(gradientCase.shapes)
  for (let seed = 1; seed < 100; seed++) {
    const inputs = draw(gradientCase, seed, aliases)
    const values = kinks[op.opName]?.(inputs, attributes).value ?? []
    if (!values.every((v) => Math.abs(v) > KINK_MARGIN)) continue
    const output = references[op.opName]!(inputs, attributes)
    const also = names[op.gradientCases.indexOf(gradientCase) % names.length]!
    const r = hashValues(output.value.length, 7).map((v) => COEFFICIENT * (v + 0.75))
    const q = hashValues(inputs[also]!.value.length, 8)
    return { op, gradientCase, inputs, aliases, attributes, output, r, q, also }
  }
  throw new Error(`${op.opName}: no draw keeps the kinks at a distance`)
}

function releaseArrays(attributes: unknown): void {
  for (const value of Object.values(attributes as object))
    if (value instanceof GpuArray) value.release()
}

/** The loss in double precision, `moved` in place of one input and of those that share its tensor. */
function referenceLoss(problem: Problem, name: string, moved: Float64Array): number {
  const inputs = { ...problem.inputs }
  for (const other of Object.keys(inputs))
    if (other === name || problem.aliases[other] === name)
      inputs[other] = { value: moved, shape: inputs[name]!.shape }
  const y = references[problem.op.opName]!(inputs, problem.attributes)
  const dot = (a: ArrayLike<number>, b: Float64Array) => b.reduce((sum, v, i) => sum + v * a[i]!, 0)
  return dot(problem.r, y.value) + dot(problem.q, inputs[problem.also]!.value)
}

/** Directions of +1 and -1, the same for every run. */
function direction(length: number, index: number): Float64Array {
  return Float64Array.from(hashValues(length, 1000 + index), (v) => (v < 0 ? -1 : 1))
}

/**
 * Derivatives of the reference loss along 32 directions of random signs, by central differences.
 *
 * Projected on such directions a vector keeps its norm (Johnson and Lindenstrauss), here within
 * about an eighth, and one wrong element shows along all of them; so the relative error of the
 * projections is that of the gradient, for 64 evaluations instead of two an element.
 */
export function numericalDerivatives(problem: Problem, name: string): Float64Array {
  const { value } = problem.inputs[name]!
  return Float64Array.from({ length: DIRECTIONS }, (_, d) => {
    const v = direction(value.length, d)
    const at = (step: number) =>
      referenceLoss(
        problem,
        name,
        value.map((x, i) => x + step * v[i]!),
      )
    return (at(STEP) - at(-STEP)) / (2 * STEP)
  })
}

/** A gradient's components along the same directions. */
export function project(gradient: Float32Array): Float64Array {
  return Float64Array.from({ length: DIRECTIONS }, (_, d) =>
    direction(gradient.length, d).reduce((sum, v, i) => sum + v * gradient[i]!, 0),
  )
}

/** How the inputs come to the op. */
export type Placement =
  /** Each behind another op. */
  | 'computed'
  /** Leaves that get a gradient array when they first need one. */
  | 'leaf'
  /** Leaves whose gradient array is there already, a slice of a larger one, as parameters have it. */
  | 'slot'

export interface Result {
  readonly output: Float32Array
  /** By input; undefined where none was computed. */
  readonly gradients: Readonly<Record<string, Float32Array | undefined>>
}

const PADDING = 64

/** Runs the problem on the device with gradients for the inputs in `wanted`. */
export async function solve(
  gpu: Gpu,
  problem: Problem,
  wanted: readonly string[],
  placement: Placement,
): Promise<Result> {
  const { op, gradientCase, inputs, aliases } = problem
  const attributes = gradientCase.attributes(gpu)
  const tape = new Tape(gpu)
  const factor = gpu.upload('f32', [1], Float32Array.of(FACTOR))
  const r = gpu.upload('f32', [problem.r.length], problem.r)
  const q = gpu.upload('f32', [problem.q.length], problem.q)
  const leaves: Record<string, Tensor> = {}
  const passed: Record<string, Tensor> = {}
  const slots: GpuArray<'f32'>[] = []
  for (const [name, { value, shape }] of Object.entries(inputs)) {
    const of = aliases[name]
    if (of) {
      leaves[name] = leaves[of]!
      passed[name] = passed[of]!
      continue
    }
    const held = Float32Array.from(value, (v) => (placement === 'computed' ? v / FACTOR : v))
    const slot =
      placement === 'slot' && wanted.includes(name) ? newSlot(gpu, shape, value.length) : undefined
    if (slot) slots.push(slot)
    leaves[name] = new Tensor(gpu.upload('f32', shape, held), wanted.includes(name), slot)
    passed[name] =
      placement === 'computed' ? scale(tape, { x: leaves[name] }, { factor }) : leaves[name]
  }
  const y = op(tape, passed, attributes)
  const output = tape.keep(y).value
  const loss = add(
    tape,
    {
      a: weightedSum(tape, { x: y }, { r }),
      b: weightedSum(tape, { x: passed[problem.also]! }, { r: q }),
    },
    {},
  )
  tape.backward(loss)
  const gradients: Record<string, Float32Array | undefined> = {}
  for (const [name, leaf] of Object.entries(leaves)) {
    const gradient = leaf.gradient && (await gpu.read(leaf.gradient))
    gradients[name] = placement === 'computed' ? gradient?.map((v) => v / FACTOR) : gradient
  }
  const result = { output: await gpu.read(output), gradients }
  for (const leaf of new Set(Object.values(leaves))) {
    leaf.value.release()
    if (leaf.gradient && !slots.includes(leaf.gradient)) leaf.gradient.release()
  }
  for (const slot of slots) {
    if (!Object.values(leaves).some(({ gradient }) => gradient === slot))
      throw new Error(`${op.opName}: a gradient array of [${slot.shape}] was replaced`)
    await checkSlot(gpu, slot)
  }
  for (const array of [output, factor, r, q]) array.release()
  releaseArrays(attributes)
  return result
}

/** The op's output where nothing is recorded, as for evaluation. */
export async function evaluate(gpu: Gpu, { op, gradientCase, inputs }: Problem) {
  const attributes = gradientCase.attributes(gpu)
  const tape = new Tape(gpu, false)
  const tensors = Object.fromEntries(
    Object.entries(inputs).map(([name, { value, shape }]) => [
      name,
      new Tensor(gpu.upload('f32', shape, Float32Array.from(value)), true),
    ]),
  )
  const y = op(tape, tensors, attributes)
  if (y.requiresGrad) throw new Error(`${op.opName}: its output wants a gradient in evaluation`)
  const output = await gpu.read(y.value)
  tape.dispose()
  for (const tensor of Object.values(tensors)) tensor.value.release()
  releaseArrays(attributes)
  return output
}

/** A gradient array between neighbours, all of it NaN: what is not overwritten shows. */
function newSlot(gpu: Gpu, shape: readonly number[], length: number): GpuArray<'f32'> {
  const room = Math.ceil(length / PADDING) * PADDING
  const whole = new Float32Array(room + 2 * PADDING).fill(Number.NaN)
  const array = gpu.upload('f32', [whole.length], whole)
  return new GpuArray('f32', shape, array.storage, PADDING * 4)
}

/** Fails if something was written before or behind a slot's 16-byte padding; releases it. */
async function checkSlot(gpu: Gpu, slot: GpuArray<'f32'>): Promise<void> {
  const whole = new GpuArray('f32', [slot.storage.size / 4], slot.storage)
  const values = await gpu.read(whole)
  const end = PADDING + slot.bindingSize / 4
  const room = Math.ceil(slot.length / PADDING) * PADDING + 2 * PADDING
  for (let i = 0; i < room; i++)
    if ((i < PADDING || i >= end) && !Number.isNaN(values[i]))
      throw new Error(`element ${i} beside a gradient of [${slot.shape}] was overwritten`)
  slot.release()
}
