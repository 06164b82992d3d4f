import type { Gpu } from '../gpu/gpu.ts'
import type { ParameterLayout, ParameterSet } from './parameters.ts'

/** A tensor as PyTorch stores it. */
export interface StoredTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array | BigInt64Array
}

/** Tensors by torchvision's names, in torchvision's layouts: OIHW and [out, in]. */
export type StateDict = Map<string, StoredTensor>

/** The shape that PyTorch gives a parameter of ours. */
export function torchShape(layout: ParameterLayout, shape: readonly number[]): readonly number[] {
  if (layout === 'hwio') return [shape[3]!, shape[2]!, shape[0]!, shape[1]!]
  if (layout === 'in-out') return [shape[1]!, shape[0]!]
  return shape
}

/** Reorders HWIO to OIHW and [in, out] to [out, in]; `shape` is ours. */
export function toTorchLayout(
  layout: ParameterLayout,
  shape: readonly number[],
  data: Float32Array,
): Float32Array {
  return reorder(layout, shape, data, (target, t, source, s) => {
    target[t] = source[s]!
  })
}

/** The inverse of `toTorchLayout`; `shape` is ours. */
export function fromTorchLayout(
  layout: ParameterLayout,
  shape: readonly number[],
  data: Float32Array,
): Float32Array {
  return reorder(layout, shape, data, (target, t, source, s) => {
    target[s] = source[t]!
  })
}

function reorder(
  layout: ParameterLayout,
  shape: readonly number[],
  source: Float32Array,
  move: (target: Float32Array, torch: number, source: Float32Array, ours: number) => void,
): Float32Array {
  if (layout === 'vector') return source.slice()
  const target = new Float32Array(source.length)
  const [taps, inputs, outputs] =
    layout === 'hwio' ? [shape[0]! * shape[1]!, shape[2]!, shape[3]!] : [1, shape[0]!, shape[1]!]
  for (let tap = 0; tap < taps; tap++)
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++)
        move(target, (o * inputs + i) * taps + tap, source, (tap * inputs + i) * outputs + o)
  return target
}

const VARIANCE = '.running_var'
const TRACKED = '.num_batches_tracked'

/** Brings a model's parameters and buffers to the host. @param steps training steps so far */
export async function readStateDict(
  gpu: Gpu,
  set: ParameterSet,
  steps: number,
): Promise<StateDict> {
  const state: StateDict = new Map()
  for (const [name, tensor] of await readGroups(gpu, set, (i) => set.groups[i]!.values))
    state.set(name, tensor)
  const buffers = await gpu.read(set.bufferValues)
  for (const { spec, value } of set.buffers) {
    const start = (value.offset - set.bufferValues.offset) / 4
    const data = buffers.slice(start, start + value.length)
    state.set(spec.name, { shape: spec.shape, data })
    if (spec.name.endsWith(VARIANCE))
      state.set(spec.name.replace(VARIANCE, TRACKED), {
        shape: [],
        data: BigInt64Array.of(BigInt(steps)),
      })
  }
  return state
}

/**
 * Reads arrays laid out like the parameter groups (values, velocities) as tensors by name.
 *
 * @param arrayOf the array of a group, by the group's index
 */
export async function readGroups(
  gpu: Gpu,
  set: ParameterSet,
  arrayOf: (group: number) => ParameterSet['groups'][number]['values'],
): Promise<StateDict> {
  const state: StateDict = new Map()
  for (const [i, group] of set.groups.entries()) {
    const host = await gpu.read(arrayOf(i))
    for (const { parameter, offset } of group.members) {
      const { name, layout, shape } = parameter.spec
      const data = host.subarray(offset, offset + shape.reduce((a, b) => a * b, 1))
      state.set(name, {
        shape: torchShape(layout, shape),
        data: toTorchLayout(layout, shape, data),
      })
    }
  }
  return state
}

/** Writes tensors by name into arrays laid out like the parameter groups. */
export function writeGroups(
  gpu: Gpu,
  set: ParameterSet,
  arrayOf: (group: number) => ParameterSet['groups'][number]['values'],
  state: ReadonlyMap<string, StoredTensor>,
): void {
  for (const [i, group] of set.groups.entries()) {
    const host = new Float32Array(group.values.length)
    for (const { parameter, offset } of group.members) {
      const { name, layout, shape } = parameter.spec
      const data = floatsOf(state, name, torchShape(layout, shape))
      host.set(fromTorchLayout(layout, shape, data), offset)
    }
    gpu.write(arrayOf(i), host)
  }
}

/**
 * Loads parameters and buffers, every one of them; tensors of other names are left out.
 *
 * @throws Error naming the tensor that is missing or has another shape or dtype; then nothing is
 *   loaded
 */
export function loadStateDict(
  gpu: Gpu,
  set: ParameterSet,
  state: ReadonlyMap<string, StoredTensor>,
): void {
  for (const { spec } of set.buffers) floatsOf(state, spec.name, spec.shape)
  for (const { spec } of set.parameters)
    floatsOf(state, spec.name, torchShape(spec.layout, spec.shape))
  writeGroups(gpu, set, (i) => set.groups[i]!.values, state)
  for (const { spec, value } of set.buffers)
    gpu.write(value, floatsOf(state, spec.name, spec.shape))
}

function floatsOf(
  state: ReadonlyMap<string, StoredTensor>,
  name: string,
  shape: readonly number[],
): Float32Array {
  const tensor = state.get(name)
  if (!tensor) throw new Error(`tensor ${name} is missing`)
  if (`${tensor.shape}` !== `${shape}`)
    throw new Error(`tensor ${name} is [${tensor.shape}], expected [${shape}]`)
  if (!(tensor.data instanceof Float32Array))
    throw new Error(`tensor ${name} is not float32, expected float32`)
  return tensor.data
}
