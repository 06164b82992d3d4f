import { link } from 'wesl/core'
import { GpuValidationError } from './errors.ts'
import { shaderSources } from './generated/kernels.ts'
import type { GpuArray } from './gpuArray.ts'
import type { KernelInfo } from './kernelInfo.ts'

type Field<Name extends string, Value> = { readonly [N in Name]: Value }
type OrNothing<Key extends string, Names, T> = [Names] extends [never]
  ? { readonly [K in Key]?: undefined }
  : { readonly [K in Key]: T }

/** The arguments of a kernel call: each name and type comes from the shader itself. */
export type KernelCall<K extends KernelInfo> = {
  readonly buffers: { readonly [B in keyof K['bindings']]: GpuArray<K['bindings'][B]['type']> }
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

/** Lays out a kernel's uniform struct as its shader declares it. */
export function packParams(
  info: KernelInfo,
  params: Readonly<Record<string, number>>,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(info.paramsSize)
  const view = new DataView(bytes.buffer)
  for (const [name, { offset, type }] of Object.entries(info.params)) {
    const value = params[name]!
    if (type === 'f32') view.setFloat32(offset, value, true)
    else if (type === 'i32') view.setInt32(offset, value, true)
    else view.setUint32(offset, value, true)
  }
  return bytes
}

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
    const { info, name, id } = key
    const linked = await link({
      weslSrc: shaderSources,
      rootModuleName: info.source.replace(/\.wesl$/, ''),
      constants: key.constants,
      conditions: Object.fromEntries(info.conditions.map((c) => [c, key.conditions[c] ?? false])),
    })
    const entries: GPUBindGroupLayoutEntry[] = Object.values(info.bindings).map((b) => ({
      binding: b.binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: b.access === 'read' ? 'read-only-storage' : 'storage' },
    }))
    if (info.paramsSize > 0)
      entries.push({
        binding: 0,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: 'uniform' },
      })
    const layout = this.device.createBindGroupLayout({ label: name, entries })
    try {
      const pipeline = await this.device.createComputePipelineAsync({
        label: name,
        layout: this.device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
        compute: {
          module: this.device.createShaderModule({ label: name, code: linked.dest }),
          entryPoint: 'main',
        },
      })
      return { pipeline, layout }
    } catch (error) {
      throw new GpuValidationError(`kernel ${id} does not compile: ${(error as Error).message}`)
    }
  }
}
