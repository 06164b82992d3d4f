import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { AnyOp, BackwardRun, OpRun, Saved } from './opRun.ts'
import type { Tape } from './tape.ts'
import type { Tensor } from './tensor.ts'

type Inputs = { readonly [name: string]: Tensor | undefined }
type Values<I> = {
  readonly [N in keyof I]: I[N] extends Tensor ? GpuArray<'f32'> : GpuArray<'f32'> | undefined
}

/** Shapes and attributes on which the gradient check runs an op with random inputs. */
export interface GradientCase<Name extends string, Attributes> {
  readonly shapes: { readonly [N in Name]?: readonly number[] }
  /** Made anew for each check, since attributes may hold device arrays. */
  attributes(gpu: Gpu): Attributes
}

/** A differentiable operation: forward and backward side by side, with the cases that check it. */
export interface OpDefinition<I extends Inputs, Attributes, S extends Saved> {
  readonly name: string
  readonly gradientCases: readonly GradientCase<keyof I & string, Attributes>[]
  /** Computes the output; checks shapes and throws before it dispatches anything. */
  forward(
    run: OpRun<keyof I & string>,
    inputs: Values<I>,
    attributes: Attributes,
  ): { output: GpuArray<'f32'>; saved: S }
  /** Gradients of the inputs that `run.needs` names, given that of the output. */
  backward(
    run: BackwardRun<keyof I & string>,
    dy: GpuArray<'f32'>,
    saved: S,
    attributes: Attributes,
  ): { readonly [N in keyof I]?: GpuArray<'f32'> | undefined }
}

/** An op as it is called: records itself on the tape. */
export interface Op<I, Attributes> {
  (tape: Tape, inputs: I, attributes: Attributes): Tensor
  readonly opName: string
  readonly gradientCases: readonly GradientCase<string, Attributes>[]
}

/** An op as the gradient check calls it. */
export type RegisteredOp = Op<Readonly<Record<string, Tensor>>, unknown>

const registry = new Map<string, RegisteredOp>()

/** Every op that was defined, by name; the gradient check walks this. */
export function registeredOps(): ReadonlyMap<string, RegisteredOp> {
  return registry
}

/**
 * Defines an op and enters it in the registry; a second op of the same name is an error.
 * Called as `defineOp<Inputs, Attributes>()({ ... })`: what is saved is typed by inference.
 */
export function defineOp<I extends Inputs, Attributes>() {
  return <S extends Saved>(definition: OpDefinition<I, Attributes, S>): Op<I, Attributes> => {
    const { name, gradientCases } = definition
    if (registry.has(name)) throw new Error(`an op named ${name} is defined already`)
    const op = (tape: Tape, inputs: I, attributes: Attributes): Tensor => {
      const tensors: Record<string, Tensor> = {}
      for (const [key, tensor] of Object.entries(inputs)) if (tensor) tensors[key] = tensor
      return tape.apply(definition as unknown as AnyOp, tensors, attributes, (run) => {
        const values = Object.fromEntries(Object.entries(tensors).map(([k, t]) => [k, t.value]))
        return definition.forward(run, values as Values<I>, attributes)
      })
    }
    const named = Object.assign(op, { opName: name, gradientCases })
    registry.set(name, named as unknown as RegisteredOp)
    return named
  }
}
