import type { Gpu } from '../gpu/gpu.ts'
import type { DType, GpuArray } from '../gpu/gpuArray.ts'

/** Arrays that a forward pass keeps for its backward pass. */
export type Saved = Readonly<Record<string, GpuArray | undefined>>

/** What an op's forward and backward may use. */
export interface OpRun<Name extends string> {
  readonly gpu: Gpu
  /** Which inputs want a gradient; all false when nothing is recorded. */
  readonly needs: Readonly<Record<Name, boolean>>
  readonly shapes: Readonly<Record<Name, readonly number[]>>
  /** An array that lives until this call ends, or as long as it is saved for the backward pass. */
  temporary<D extends DType>(dtype: D, shape: readonly number[]): GpuArray<D>
}

/** What a backward pass may use besides. */
export interface BackwardRun<Name extends string> extends OpRun<Name> {
  /** Where to write the gradient of an input; contents undefined before. */
  gradientOf(name: Name): GpuArray<'f32'>
}

/** The definition with its type parameters forgotten, as the tape stores it. */
export interface AnyOp {
  readonly name: string
  backward(
    run: BackwardRun<string>,
    dy: GpuArray<'f32'>,
    saved: Saved,
    attributes: unknown,
  ): Readonly<Record<string, GpuArray<'f32'> | undefined>>
}

/**
 * What one pass of an op may use, on `inputs` by name, and `end`, which gives its temporaries back
 * (a pass that saves one for later holds on to it first).
 */
export function openRun(
  gpu: Gpu,
  inputs: Readonly<Record<string, { readonly shape: readonly number[] }>>,
  needs: Readonly<Record<string, boolean>>,
): { run: OpRun<string>; end: () => void } {
  const temporaries: GpuArray[] = []
  const run: OpRun<string> = {
    gpu,
    needs,
    shapes: Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape])),
    temporary: <D extends DType>(dtype: D, shape: readonly number[]) => {
      const array = gpu.empty(dtype, shape, 'temporary')
      temporaries.push(array)
      return array
    },
  }
  const end = () => {
    for (const array of temporaries) array.release()
  }
  return { run, end }
}
