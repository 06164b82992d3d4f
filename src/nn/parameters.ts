import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import type { InitialValues } from './initialisation.ts'

/** Layout of a parameter, which says how PyTorch stores the same values. */
export type ParameterLayout = 'hwio' | 'in-out' | 'vector'

/** A parameter before it has memory. */
export interface ParameterSpec {
  /** torchvision's name, for instance `layer1.0.conv1.weight`. */
  readonly name: string
  readonly shape: readonly number[]
  readonly layout: ParameterLayout
  /** Whether weight decay applies: to weights, never to biases or batch norm. */
  readonly decay: boolean
  readonly initial: InitialValues
}

/** Values that training updates outside the optimiser: a batch norm's running statistics. */
export interface BufferSpec {
  readonly name: string
  readonly shape: readonly number[]
  readonly initial: number
}

/** A parameter or buffer of a model; its memory is there once `ParameterSet.allocate` has run. */
export class Slot<Spec extends ParameterSpec | BufferSpec, Value> {
  #value: Value | undefined

  constructor(readonly spec: Spec) {}

  get value(): Value {
    if (this.#value === undefined)
      throw new Error(`${this.spec.name} has no memory yet: call allocate first`)
    return this.#value
  }

  place(value: Value): void {
    this.#value = value
  }
}

export type Parameter = Slot<ParameterSpec, Tensor>
export type StateBuffer = Slot<BufferSpec, GpuArray<'f32'>>

/** Parameters that lie one behind the other, so that one dispatch can update them all. */
export interface ParameterGroup {
  readonly decay: boolean
  readonly members: readonly { readonly parameter: Parameter; readonly offset: number }[]
  /** [length]; member i starts at element `members[i].offset`. */
  readonly values: GpuArray<'f32'>
  /** In the same layout; absent in a copy that is not trained. */
  readonly gradients: GpuArray<'f32'> | undefined
}

// A binding must start at a multiple of 256 bytes.
const ALIGNMENT = 64

function size(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1)
}

/** All parameters and buffers of a model, in the order in which its modules declared them. */
export class ParameterSet {
  readonly parameters: Parameter[] = []
  readonly buffers: StateBuffer[] = []
  #groups: ParameterGroup[] = []
  #bufferValues: GpuArray<'f32'> | undefined

  declare(spec: ParameterSpec): Parameter {
    const parameter: Parameter = new Slot(spec)
    this.parameters.push(parameter)
    return parameter
  }

  declareBuffer(spec: BufferSpec): StateBuffer {
    const buffer: StateBuffer = new Slot(spec)
    this.buffers.push(buffer)
    return buffer
  }

  /** Groups for the optimiser; empty before `allocate`. */
  get groups(): readonly ParameterGroup[] {
    return this.#groups
  }

  /** All buffers one behind the other, each from a multiple of 256 bytes. */
  get bufferValues(): GpuArray<'f32'> {
    if (!this.#bufferValues) throw new Error('the buffers have no memory yet: call allocate first')
    return this.#bufferValues
  }

  /** Number of trainable values. */
  get count(): number {
    return this.parameters.reduce((sum, { spec }) => sum + size(spec.shape), 0)
  }

  /** Gives everything memory and initial values drawn from `seed`. */
  allocate(gpu: Gpu, seed: number): void {
    const numbers = new Map(this.parameters.map((parameter, number) => [parameter, number]))
    this.#allocate(gpu, (members, length) => {
      const host = new Float32Array(length)
      for (const { parameter, offset } of members) {
        const { shape, initial } = parameter.spec
        const stream = new RandomStream(seed, streams.init, numbers.get(parameter)!)
        initial(stream, host.subarray(offset, offset + size(shape)))
      }
      return {
        values: gpu.upload('f32', [length], host, 'parameters'),
        gradients: gpu.zeros('f32', [length], 'gradients'),
      }
    })
    const host = new Float32Array(this.bufferValues.length)
    let offset = 0
    for (const { spec } of this.buffers) {
      host.fill(spec.initial, offset, offset + size(spec.shape))
      offset += aligned(size(spec.shape))
    }
    gpu.write(this.bufferValues, host)
  }

  /** Gives everything memory and the values that an equal set holds, but no gradients. */
  allocateCopy(gpu: Gpu, source: ParameterSet): void {
    this.#allocate(gpu, (_, length) => ({
      values: gpu.empty('f32', [length], 'parameters'),
      gradients: undefined,
    }))
    for (const [i, { values }] of source.groups.entries()) gpu.copy(values, this.groups[i]!.values)
    gpu.copy(source.bufferValues, this.bufferValues)
  }

  /** Gives the memory back. */
  release(): void {
    for (const { values, gradients } of this.#groups) {
      values.release()
      gradients?.release()
    }
    this.#bufferValues?.release()
    this.#groups = []
    this.#bufferValues = undefined
  }

  #allocate(gpu: Gpu, arenas: (members: readonly Member[], length: number) => Arenas): void {
    const limit = gpu.largestBinding / 4
    for (const decay of [true, false]) {
      let members: Member[] = []
      let length = 0
      const place = () => {
        if (members.length === 0) return
        const group = { decay, members, ...arenas(members, length) }
        for (const { parameter, offset } of members) placeParameter(parameter, group, offset)
        this.#groups.push(group)
        members = []
        length = 0
      }
      for (const parameter of this.parameters.filter(({ spec }) => spec.decay === decay)) {
        const needed = aligned(size(parameter.spec.shape))
        if (length + needed > limit) place()
        members.push({ parameter, offset: length })
        length += needed
      }
      place()
    }
    const length = this.buffers.reduce((sum, { spec }) => sum + aligned(size(spec.shape)), 0)
    this.#bufferValues = gpu.empty('f32', [length], 'batch-norm buffers')
    let offset = 0
    for (const buffer of this.buffers) {
      buffer.place(slice(buffer.spec.shape, this.#bufferValues, offset))
      offset += aligned(size(buffer.spec.shape))
    }
  }
}

type Member = ParameterGroup['members'][number]
type Arenas = Pick<ParameterGroup, 'values' | 'gradients'>

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT
}

function slice(shape: readonly number[], whole: GpuArray<'f32'>, offset: number): GpuArray<'f32'> {
  return new GpuArray('f32', shape, whole.storage, whole.offset + offset * 4)
}

function placeParameter(parameter: Parameter, { values, gradients }: Arenas, offset: number): void {
  const { shape } = parameter.spec
  const value = slice(shape, values, offset)
  parameter.place(
    gradients ? new Tensor(value, true, slice(shape, gradients, offset)) : new Tensor(value),
  )
}
