import { link } from 'wesl/core'
import { GpuValidationError } from './errors.ts'
import { shaderSources } from './generated/kernels.ts'
import type { DType, GpuArray } from './gpuArray.ts'
import { type GpuImage, IMAGE_FORMAT } from './gpuImage.ts'
import type { KernelInfo } from './kernelInfo.ts'

type Field<Name extends string, Value> = { readonly [N in Name]: Value }
type OrNothing<Key extends string, Names, T> = [Names] extends [never]
  ? { readonly [K in Key]?: undefined }
  : { readonly [K in Key]: T }

type Binding = KernelInfo['bindings'][string]
type Bindable<B extends Binding> =
  | (B['type'] extends DType ? GpuArray<B['type']> : GpuImage)
  | (B extends { readonly imageWith: string } ? GpuImage : never)

/** The arguments of a kernel call: each name and type comes from the shader itself. */
export type KernelCall<K extends KernelInfo> = {
  readonly buffers: { readonly [B in keyof K['bindings']]: Bindable<K['bindings'][B]> }
  /** Workgroups in x, y and z. */
  readonly workgroups: readonly [number, number, number]
} & OrNothing<'params', keyof K['params'], { readonly [P in keyof K['params']]: number }> &
  OrNothing<'constants', K['constants'][number], Field<K['constants'][number], number>> &
  OrNothing<'conditions', K['conditions'][number], Field<K['conditions'][number], boolean>>

/** A kernel with its specialisation: what one pipeline is compiled from. */
export interface PipelineKey {
  readonly name: string
  readonly info: KernelInfo
  readonly constants: Readonly<Record<string, number>>
  readonly conditions: Readonly<Record<string, boolean>>
  readonly id: string
}

/** Names a kernel's specialisation. */
export function pipelineKey(
  info: KernelInfo,
  constants: Readonly<Record<string, number>> = {},
  conditions: Readonly<Record<string, boolean>> = {},
): PipelineKey {
  const name = info.source.replace(/\.wesl$/, '').replaceAll('/', '_')
  const parts = [
    ...info.constants.map((c) => `${c}=${constants[c]}`),
    ...info.conditions.filter((c) => conditions[c]),
  ]
  return { name, info, constants, conditions, id: `${name}(${parts.join(' ')})` }
}

/**
 * Lays out a kernel's uniform struct as its shader declares it.
 *
 * @throws GpuValidationError naming the kernel and the field that its type can't hold
 */
export function packParams(
  { id, info }: PipelineKey,
  params: Readonly<Record<string, number>>,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(info.paramsSize)
  const view = new DataView(bytes.buffer)
  for (const [name, { offset, type }] of Object.entries(info.params)) {
    const value = params[name]
    if (typeof value !== 'number' || (type !== 'f32' && value !== INTEGERS[type](value)))
      throw new GpuValidationError(`kernel ${id}: ${name} is ${value}, expected a ${type}`)
    if (type === 'f32') view.setFloat32(offset, value, true)
    else if (type === 'i32') view.setInt32(offset, value, true)
    else view.setUint32(offset, value, true)
  }
  return bytes
}

const INTEGERS = { i32: (value: number) => value | 0, u32: (value: number) => value >>> 0 }

export interface Pipeline {
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
}

/** Compiles pipelines, each specialisation once per device. */
export class PipelineCache {
  readonly #pipelines = new Map<string, Promise<Pipeline>>()

  constructor(private readonly device: GPUDevice) {}

  get size(): number {
    return this.#pipelines.size
  }

  has(key: PipelineKey): boolean {
    return this.#pipelines.has(key.id)
  }

  /** @throws GpuValidationError naming the kernel when its shader does not compile */
  get(key: PipelineKey): Promise<Pipeline> {
    let pipeline = this.#pipelines.get(key.id)
    if (!pipeline) {
      pipeline = this.#compile(key)
      this.#pipelines.set(key.id, pipeline)
    }
    return pipeline
  }

  async #compile(key: PipelineKey): Promise<Pipeline> {
    const { name, id } = key
    const code = await linkShader(key)
    const { device } = this
    device.pushErrorScope('validation')
    const layout = device.createBindGroupLayout({ label: name, entries: layoutEntries(key) })
    const compiling = device.createComputePipelineAsync({
      label: name,
      layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
      compute: {
        module: device.createShaderModule({ label: name, code }),
        entryPoint: 'main',
      },
    })
    // The pipeline's own error says no more of a shader than that it is invalid.
    const [invalid, compiled] = await Promise.allSettled([device.popErrorScope(), compiling])
    if (compiled.status === 'fulfilled') return { pipeline: compiled.value, layout }
    const why = (invalid.status === 'fulfilled' && invalid.value) || (compiled.reason as Error)
    throw new GpuValidationError(`kernel ${id} does not compile: ${why.message}`)
  }
}

async function linkShader({ id, info, constants, conditions }: PipelineKey): Promise<string> {
  try {
    const linked = await link({
      weslSrc: shaderSources,
      rootModuleName: info.source.replace(/\.wesl$/, ''),
      constants,
      conditions: Object.fromEntries(info.conditions.map((c) => [c, conditions[c] ?? false])),
    })
    return linked.dest
  } catch (error) {
    throw new GpuValidationError(`kernel ${id} does not link: ${(error as Error).message}`)
  }
}

/** Whether a binding is an image in a specialisation. */
export function isImage({ type, imageWith }: Binding, { conditions }: PipelineKey): boolean {
  return type === 'image' || (imageWith !== undefined && !!conditions[imageWith])
}

function layoutEntries(key: PipelineKey): GPUBindGroupLayoutEntry[] {
  const { info } = key
  const entries: GPUBindGroupLayoutEntry[] = Object.values(info.bindings).map((b) => ({
    binding: b.binding,
    visibility: GPUShaderStage.COMPUTE,
    ...(isImage(b, key)
      ? { storageTexture: { access: 'read-only', format: IMAGE_FORMAT } }
      : { buffer: { type: b.access === 'read' ? 'read-only-storage' : 'storage' } }),
  }))
  if (info.paramsSize > 0)
    entries.push({
      binding: 0,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: 'uniform' },
    })
  return entries
}
