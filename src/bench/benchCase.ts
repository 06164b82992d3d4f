import type { Gpu } from '../gpu/gpu.ts'
import type { Program } from '../gpu/program.ts'

/** What the operations of a benchmark are sized by. */
export interface BenchSizes {
  /** Images of a batch. */
  readonly batch: number
  /** Height and width of an image in pixels. */
  readonly size: number
  /** Factor of ResNet-50's channel counts. */
  readonly width: number
}

/** One pass of one operation at one shape. */
export interface BenchCase {
  readonly shape: string
  readonly pass: string
  /** Floating-point operations, where these bound it; a multiply-add is two. */
  readonly flops?: number
  /** Bytes that must be read and written, where these bound it. */
  readonly bytes?: number
  /**
   * The arithmetic that must be done, without the memory, as a program, where it may bound a pass that
   * has `bytes`.
   */
  arithmetic?(): Promise<Program | undefined>
  /** The program to time first, then those that own what it reads. */
  record(): Promise<Program[]>
}

/** Cases that are timed in turn, and the arrays that they share. */
export interface BenchGroup {
  readonly cases: readonly BenchCase[]
  release(): void
}

/** A family of operations: its groups are made one after the other, each when its turn comes. */
export interface BenchOp {
  readonly name: string
  groups(gpu: Gpu, sizes: BenchSizes): readonly (() => BenchGroup)[]
}
