import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'

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
  /** Initial value of element `index`. */
  readonly initial: (stream: RandomStream, index: number) => number
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
  readonly gradients: GpuArray<'f32'>
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

  /** Number of trainable values. */
  get count(): number {
    return this.parameters.reduce((sum, { spec }) => sum + size(spec.shape), 0)
  }

  /** Gives everything memory and initial values drawn from `seed`. */
  allocate(gpu: Gpu, seed: number): void {
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4
    for (const decay of [true, false]) {
      let members: { parameter: Parameter; offset: number }[] = []
      let length = 0
      for (const parameter of this.parameters.filter(({ spec }) => spec.decay === decay)) {
        const needed = Math.ceil(size(parameter.spec.shape) / ALIGNMENT) * ALIGNMENT
        if (members.length > 0 && length + needed > limit) {
          this.#groups.push(this.#place(gpu, decay, members, length, seed))
          members = []
          length = 0
        }
        members.push({ parameter, offset: length })
        length += needed
      }
      if (members.length > 0) this.#groups.push(this.#place(gpu, decay, members, length, seed))
    }
    for (const buffer of this.buffers) {
      const { shape, initial, name } = buffer.spec
      buffer.place(gpu.upload('f32', shape, new Float32Array(size(shape)).fill(initial), name))
    }
  }

  /** Gives the memory back. */
  release(): void {
    for (const { values, gradients } of this.#groups) {
      values.release()
      gradients.release()
    }
    for (const buffer of this.buffers) buffer.value.release()
    this.#groups = []
  }

  #place(
    gpu: Gpu,
    decay: boolean,
    members: readonly { parameter: Parameter; offset: number }[],
    length: number,
    seed: number,
  ): ParameterGroup {
    const host = new Float32Array(length)
    for (const { parameter, offset } of members) {
      const { shape, initial } = parameter.spec
      const stream = new RandomStream(seed, streams.init, this.parameters.indexOf(parameter))
      for (let i = 0; i < size(shape); i++) host[offset + i] = initial(stream, i)
    }
    const values = gpu.upload('f32', [length], host, 'parameters')
    const gradients = gpu.zeros('f32', [length], 'gradients')
    for (const { parameter, offset } of members) {
      const slice = (whole: GpuArray<'f32'>) =>
        new GpuArray('f32', parameter.spec.shape, whole.storage, whole.offset + offset * 4)
      parameter.place(new Tensor(slice(values), true, slice(gradients)))
    }
    return { decay, members, values, gradients }
  }
}
