import { type AnyOp, type BackwardRun, type OpRun, openRun, type Saved } from '../autograd/opRun.ts'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'

type Gradients = ReturnType<AnyOp['backward']>

interface Node {
  readonly op: AnyOp
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly needs: Readonly<Record<string, boolean>>
  readonly attributes: unknown
  readonly output: Tensor
  readonly saved: Saved
}

/** Holds on to the one op that was called with it, so that its passes can be recorded apart. */
class OneOpTape extends Tape {
  #node: Node | undefined

  override apply(
    op: AnyOp,
    inputs: Readonly<Record<string, Tensor>>,
    attributes: unknown,
    forward: (run: OpRun<string>) => { output: GpuArray<'f32'>; saved: Saved },
  ): Tensor {
    const needs = Object.fromEntries(
      Object.entries(inputs).map(([name, { requiresGrad }]) => [name, requiresGrad]),
    )
    const { run, end } = openRun(this.gpu, inputs, needs)
    const { output, saved } = forward(run)
    for (const array of Object.values(saved)) array?.retain()
    end()
    this.#node = { op, inputs, needs, attributes, output: new Tensor(output), saved }
    return this.#node.output
  }

  /** Records the backward pass of the op that was called; the gradients of its inputs. */
  backwardOfOp(dy: GpuArray<'f32'>): Gradients {
    const { op, inputs, needs, attributes, saved } = this.#node!
    const { run, end } = openRun(this.gpu, inputs, needs)
    const backwardRun: BackwardRun<string> = {
      ...run,
      gradientOf: (name) => this.gpu.empty('f32', inputs[name]!.shape, `d ${name}`),
    }
    const gradients = op.backward(backwardRun, dy, saved, attributes)
    end()
    return gradients
  }
}

/** An op's forward pass as a program. */
export async function recordForward(gpu: Gpu, call: (tape: Tape) => Tensor): Promise<Program[]> {
  const { program } = await gpu.record(() => call(new OneOpTape(gpu)))
  return [program]
}

/**
 * An op's backward pass as a program, after a run of its forward pass, whose program comes second:
 * it owns what was saved. Inputs that require a gradient get one.
 */
export async function recordBackward(
  gpu: Gpu,
  call: (tape: Tape) => Tensor,
  upstream: (shape: readonly number[]) => GpuArray<'f32'>,
): Promise<{ programs: Program[]; gradients: Gradients }> {
  const tape = new OneOpTape(gpu)
  const forward = await gpu.record(() => call(tape))
  forward.program.run()
  const dy = upstream(forward.result.shape)
  const { program, result } = await gpu.record(() => tape.backwardOfOp(dy))
  dy.release()
  return { programs: [program, forward.program], gradients: result }
}
