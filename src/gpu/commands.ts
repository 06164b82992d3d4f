import type { GpuArray } from './gpuArray.ts'
import { GpuImage, PIXEL_BYTES } from './gpuImage.ts'
import type { Pipeline, PipelineCache, PipelineKey } from './kernel.ts'

type Bound = { readonly binding: number } & (
  | { readonly buffer: GPUBuffer; readonly offset: number; readonly size: number }
  | { readonly texture: GPUTexture }
)

export interface DispatchCommand {
  readonly kind: 'dispatch'
  readonly key: PipelineKey
  readonly bound: readonly Bound[]
  readonly params: Uint8Array<ArrayBuffer> | undefined
  readonly workgroups: readonly [number, number, number]
}

export interface CopyCommand {
  readonly kind: 'copy'
  readonly source: GPUBuffer
  readonly sourceOffset: number
  readonly target: GPUBuffer
  readonly targetOffset: number
  readonly size: number
}

export interface ClearCommand {
  readonly kind: 'clear'
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly size: number
}

export interface ImageCommand {
  readonly kind: 'copyToImage'
  readonly source: GPUTexelCopyBufferInfo
  readonly target: GPUTexelCopyTextureInfo
  /** Width and height of what is copied. */
  readonly size: readonly [number, number]
}

/** The copy of a whole array into the first columns and rows of an image: whole rows, and what is left. */
export function imageCommands(array: GpuArray, image: GpuImage, width: number): ImageCommand[] {
  const { storage, length } = array
  const bytesPerRow = PIXEL_BYTES * width
  const rows = Math.floor(length / 4 / width)
  const parts: [line: number, size: [number, number]][] = [
    [0, [width, rows]],
    [rows, [length / 4 - rows * width, 1]],
  ]
  return parts
    .filter(([, [columns, lines]]) => columns * lines > 0)
    .map(([line, size]) => ({
      kind: 'copyToImage',
      source: {
        buffer: storage.resource,
        offset: array.offset + line * bytesPerRow,
        bytesPerRow,
      },
      target: { texture: image.storage.resource, origin: [0, line] },
      size,
    }))
}

/** The copy of a whole array. */
export function copyCommand(array: GpuArray, target: GPUBuffer, targetOffset: number): CopyCommand {
  const { resource: source } = array.storage
  const { offset: sourceOffset, length } = array
  return { kind: 'copy', source, sourceOffset, target, targetOffset, size: length * 4 }
}

/** Work for the device, in the order in which it was recorded. */
export type Command = DispatchCommand | CopyCommand | ImageCommand | ClearCommand

/** Where an array or image lies, as a binding of a dispatch. */
export function bind(binding: number, array: GpuArray | GpuImage): Bound {
  if (array instanceof GpuImage) return { binding, texture: array.storage.resource }
  const { storage, offset, bindingSize } = array
  return { binding, buffer: storage.resource, offset, size: bindingSize }
}

type Encoded =
  | {
      readonly kind: 'dispatch'
      readonly kernel: string
      /** Names the kernel with its variant. */
      readonly id: string
      readonly pipeline: GPUComputePipeline
      readonly group: GPUBindGroup
      readonly workgroups: readonly [number, number, number]
    }
  | CopyCommand
  | ImageCommand
  | ClearCommand

/** The pass of a dispatch that gets one of its own, by the dispatch's place in the run. */
export type PassOf = (dispatch: number) => GPUComputePassDescriptor

/**
 * Commands made ready to run: pipelines compiled, uniforms in one buffer, bind groups created.
 * `encode` may be called any number of times and creates nothing but the command buffer.
 */
export class PreparedCommands {
  private constructor(
    private readonly device: GPUDevice,
    private readonly encoded: readonly Encoded[],
    private readonly uniforms: GPUBuffer | undefined,
    /** Bind groups that were created. */
    readonly bindGroups: number,
  ) {}

  /** Dispatches, copies and clears in one run. */
  get length(): number {
    return this.encoded.length
  }

  /** Name of the kernel of each dispatch of one run, in order. */
  get kernels(): readonly string[] {
    return this.encoded.flatMap((command) => (command.kind === 'dispatch' ? command.kernel : []))
  }

  /** What tells the dispatches from those of another variant of the same work. */
  get signature(): string {
    return this.encoded
      .flatMap((command) =>
        command.kind === 'dispatch' ? `${command.id} ${command.workgroups}` : [],
      )
      .join('; ')
  }

  static async prepare(
    device: GPUDevice,
    pipelines: PipelineCache,
    commands: readonly Command[],
    onCompile: (done: number, total: number) => void,
  ): Promise<PreparedCommands> {
    const keys = new Map<string, PipelineKey>()
    for (const command of commands)
      if (command.kind === 'dispatch') keys.set(command.key.id, command.key)
    const missing = [...keys.values()].filter((key) => !pipelines.has(key)).length
    let done = 0
    const compiled = new Map<string, Pipeline>()
    await Promise.all(
      [...keys.values()].map(async (key) => {
        const isNew = !pipelines.has(key)
        compiled.set(key.id, await pipelines.get(key))
        if (isNew) onCompile(++done, missing)
      }),
    )
    const { uniforms, offsets } = uploadUniforms(device, commands)
    const groups = new Map<string, GPUBindGroup>()
    const encoded = commands.map((command): Encoded => {
      if (command.kind !== 'dispatch') return command
      const { pipeline, layout } = compiled.get(command.key.id)!
      const offset = command.params && offsets.get(uniformKey(command.params))!
      const id = [command.key.id, offset, ...command.bound.map(boundKey)].join('|')
      let group = groups.get(id)
      if (!group) {
        const entries: GPUBindGroupEntry[] = command.bound.map(({ binding, ...bound }) => ({
          binding,
          resource: 'texture' in bound ? bound.texture.createView() : bound,
        }))
        if (command.params && uniforms)
          entries.push({
            binding: 0,
            resource: { buffer: uniforms, offset: offset!, size: command.params.byteLength },
          })
        group = device.createBindGroup({ label: command.key.id, layout, entries })
        groups.set(id, group)
      }
      const { workgroups, key } = command
      return { kind: 'dispatch', kernel: key.name, id: key.id, pipeline, group, workgroups }
    })
    return new PreparedCommands(device, encoded, uniforms, groups.size)
  }

  /** The commands from `start` up to but without `end`; all of them unless told otherwise. */
  encode(start = 0, end = this.encoded.length): GPUCommandBuffer {
    const encoder = this.device.createCommandEncoder()
    this.encodeInto(encoder, undefined, start, end)
    return encoder.finish()
  }

  /** @param passOf describes the pass of each dispatch; without it dispatches share passes */
  encodeInto(
    encoder: GPUCommandEncoder,
    passOf?: PassOf,
    start = 0,
    end = this.encoded.length,
  ): void {
    let pass: GPUComputePassEncoder | undefined
    let dispatch = 0
    for (let i = start; i < end; i++) {
      const command = this.encoded[i]!
      if (command.kind === 'dispatch') {
        pass ??= encoder.beginComputePass(passOf?.(dispatch++))
        pass.setPipeline(command.pipeline)
        pass.setBindGroup(0, command.group)
        pass.dispatchWorkgroups(...command.workgroups)
        if (!passOf) continue
        pass.end()
        pass = undefined
        continue
      }
      pass?.end()
      pass = undefined
      if (command.kind === 'clear')
        encoder.clearBuffer(command.buffer, command.offset, command.size)
      else if (command.kind === 'copyToImage')
        encoder.copyBufferToTexture(command.source, command.target, command.size)
      else
        encoder.copyBufferToBuffer(
          command.source,
          command.sourceOffset,
          command.target,
          command.targetOffset,
          command.size,
        )
    }
    pass?.end()
  }

  destroy(): void {
    this.uniforms?.destroy()
  }
}

const resourceIds = new WeakMap<GPUBuffer | GPUTexture, number>()
let nextResourceId = 1

function boundKey(bound: Bound): string {
  const resource = 'texture' in bound ? bound.texture : bound.buffer
  let id = resourceIds.get(resource)
  if (id === undefined) {
    id = nextResourceId++
    resourceIds.set(resource, id)
  }
  return `${bound.binding}:${id}${'texture' in bound ? '' : `+${bound.offset}/${bound.size}`}`
}

function uniformKey(params: Uint8Array): string {
  return `${params}`
}

/** Puts the uniform structs of all dispatches, each distinct one once, into one buffer. */
function uploadUniforms(device: GPUDevice, commands: readonly Command[]) {
  const offsets = new Map<string, number>()
  const chunks: { offset: number; params: Uint8Array<ArrayBuffer> }[] = []
  const alignment = device.limits.minUniformBufferOffsetAlignment
  let size = 0
  for (const command of commands) {
    if (command.kind !== 'dispatch' || !command.params) continue
    const key = uniformKey(command.params)
    if (offsets.has(key)) continue
    offsets.set(key, size)
    chunks.push({ offset: size, params: command.params })
    size += Math.ceil(command.params.byteLength / alignment) * alignment
  }
  if (size === 0) return { uniforms: undefined, offsets }
  const uniforms = device.createBuffer({
    label: 'uniforms',
    size,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    mappedAtCreation: true,
  })
  const bytes = new Uint8Array(uniforms.getMappedRange())
  for (const { offset, params } of chunks) bytes.set(params, offset)
  uniforms.unmap()
  return { uniforms, offsets }
}
