import type { DType } from './gpuArray.ts'

/** What reflection found in one shader; written by scripts/generateShaders.mjs. */
export interface KernelInfo {
  /** File under shaders/. */
  readonly source: string
  readonly bindings: Readonly<
    Record<
      string,
      {
        readonly binding: number
        readonly access: 'read' | 'read_write'
        /** Of an array's elements; `image` is a texture_storage_2d<rgba32float, read>. */
        readonly type: DType | 'image'
        /** The switch with which an array is such an image instead, a flat one (see `flatImage`). */
        readonly imageWith?: string
      }
    >
  >
  /** Fields of the uniform struct `params`; empty when the shader has none. */
  readonly params: Readonly<Record<string, { readonly offset: number; readonly type: DType }>>
  readonly paramsSize: number
  /** Numbers that the shader imports from `constants::`. */
  readonly constants: readonly string[]
  /** Switches that the shader tests with `@if`. */
  readonly conditions: readonly string[]
}
