import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { accumulate } from './accumulate.ts'
import { addArrays } from './addArrays.ts'
import { type AnyOp, type BackwardRun, type OpRun, openRun } from './opRun.ts'
import { Tensor } from './tensor.ts'

interface Node {
  readonly op: AnyOp
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly needs: Readonly<Record<string, boolean>>
  readonly attributes: unknown
  readonly output: Tensor
  readonly saved: Readonly<Record<string, GpuArray | undefined>>
}

export interface BackwardOptions {
  /** What every gradient is multiplied by. Default 1. */
  readonly factor?: number
  /** Adds to the gradients that the leaves have instead of replacing them. Default false. */
  readonly accumulate?: boolean
}

interface Forward {
  output: GpuArray<'f32'>
  saved: Readonly<Record<string, GpuArray | undefined>>
}

/**
 * The record of a computation, walked backwards for gradients.
 *
 * The tape owns what its ops compute. An intermediate lives until its scope ends, or as long as a
 * recorded op saved it for its backward pass; after `backward` nothing of it is left but the
 * gradients of the leaves and what was kept with `keep`.
 */
export class Tape {
  #nodes: Node[] = []
  #scopes: Tensor[][] = [[]]

  /** With `record` false nothing is saved and `backward` is not possible: for evaluation. */
  constructor(
    readonly gpu: Gpu,
    private readonly record = true,
  ) {}

  /** Runs an op's forward pass and records it; ops call this, not users. */
  apply(
    op: AnyOp,
    inputs: Readonly<Record<string, Tensor>>,
    attributes: unknown,
    forward: (run: OpRun<string>) => Forward,
  ): Tensor {
    const needs = Object.fromEntries(
      Object.entries(inputs).map(([name, t]) => [name, this.record && t.requiresGrad]),
    )
    const requiresGrad = Object.values(needs).some(Boolean)
    const { run, end } = openRun(this.gpu, inputs, needs)
    const { output, saved } = this.gpu.releaseOnError(() => forward(run))
    const tensor = new Tensor(output, requiresGrad, undefined, false)
    this.#scopes.at(-1)!.push(tensor)
    if (requiresGrad) {
      for (const array of Object.values(saved)) array?.retain()
      this.#nodes.push({ op, inputs, needs, attributes, output: tensor, saved })
    }
    end()
    return tensor
  }

  /** Runs `body` and gives back what it computed on the way, all but the tensor it returns. */
  scope(body: () => Tensor): Tensor {
    this.#scopes.push([])
    let result: Tensor | undefined
    try {
      result = body()
      return result
    } finally {
      this.#endScope(result)
    }
  }

  #endScope(result: Tensor | undefined): void {
    for (const tensor of this.#scopes.pop()!)
      if (tensor === result) this.#scopes.at(-1)!.push(tensor)
      else tensor.value.release()
  }

  /** Keeps a tensor's value past `backward` and `dispose`; the caller releases it. */
  keep(tensor: Tensor): Tensor {
    tensor.value.retain()
    return tensor
  }

  /**
   * Computes the gradient of `loss` for every leaf that wants one and forgets the record.
   *
   * @param loss a scalar, shape [1]
   * @returns the leaves that the loss depends on; the gradients of others are left as they were
   * @throws Error when `loss` is not a scalar or does not depend on a tensor that wants a gradient
   */
  backward(loss: Tensor, { factor = 1, accumulate = false }: BackwardOptions = {}): Set<Tensor> {
    if (loss.value.length !== 1)
      throw new Error(`backward starts from a scalar loss, not from shape [${loss.shape}]`)
    if (!loss.requiresGrad)
      throw new Error('backward: the loss depends on no tensor that wants a gradient')
    const nodes = this.#nodes
    this.#nodes = []
    this.dispose()
    try {
      return this.gpu.releaseOnError(() => this.#walkBack(nodes, loss, factor, accumulate))
    } finally {
      for (const node of nodes) for (const array of Object.values(node.saved)) array?.release()
    }
  }

  #walkBack(nodes: Node[], loss: Tensor, factor: number, accumulate: boolean): Set<Tensor> {
    const gradients = new Map<Tensor, GpuArray<'f32'>>()
    gradients.set(loss, this.gpu.constant(factor))
    const leaves = new Set<Tensor>()
    try {
      this.#walkNodes(nodes, gradients, leaves, accumulate)
    } catch (error) {
      for (const [tensor, gradient] of gradients)
        if (gradient !== tensor.gradient) gradient.release()
      throw error
    }
    for (const [leaf, gradient] of gradients) this.#hand(leaf, gradient)
    return leaves
  }

  #walkNodes(
    nodes: Node[],
    gradients: Map<Tensor, GpuArray<'f32'>>,
    leaves: Set<Tensor>,
    accumulate: boolean,
  ): void {
    for (let node = nodes.pop(); node; node = nodes.pop()) {
      const dy = gradients.get(node.output)
      gradients.delete(node.output)
      try {
        if (dy) this.#backwardNode(node, dy, gradients, accumulate)
      } finally {
        dy?.release()
        for (const array of Object.values(node.saved)) array?.release()
      }
      for (const tensor of Object.values(node.inputs)) {
        if (!tensor.isLeaf || !gradients.has(tensor)) continue
        leaves.add(tensor)
        // Another op may use the leaf too: its gradient is complete when the walk has ended.
        if (accumulate && !nodes.some(({ inputs }) => Object.values(inputs).includes(tensor)))
          this.#add(tensor, gradients)
      }
    }
  }

  /** Adds a leaf's gradient to what it has; a leaf that has none yet gets it at the end. */
  #add(leaf: Tensor, gradients: Map<Tensor, GpuArray<'f32'>>): void {
    const gradient = gradients.get(leaf)!
    if (!leaf.gradient) return
    gradients.delete(leaf)
    accumulate(this.gpu, gradient, leaf.gradient)
    gradient.release()
  }

  /** Gives back everything that was computed and not kept. */
  dispose(): void {
    for (const scope of this.#scopes) for (const tensor of scope) tensor.value.release()
    this.#scopes = [[]]
    for (const node of this.#nodes) for (const array of Object.values(node.saved)) array?.release()
    this.#nodes = []
  }

  #backwardNode(
    node: Node,
    dy: GpuArray<'f32'>,
    gradients: Map<Tensor, GpuArray<'f32'>>,
    accumulate: boolean,
  ): void {
    const { run, end } = openRun(this.gpu, node.inputs, node.needs)
    const begun = new Set<Tensor>()
    const backwardRun: BackwardRun<string> = {
      ...run,
      gradientOf: (name) => {
        const tensor = node.inputs[name]!
        // A parameter's first contribution goes straight to where the optimiser reads it.
        const isFirst = !gradients.has(tensor) && !begun.has(tensor)
        begun.add(tensor)
        if (!accumulate && isFirst && tensor.isLeaf && tensor.gradient) return tensor.gradient
        return this.gpu.empty('f32', tensor.shape, `d ${node.op.name}.${name}`)
      },
    }
    const found = node.op.backward(backwardRun, dy, node.saved, node.attributes)
    for (const [name, gradient] of Object.entries(found)) {
      const tensor = node.inputs[name]!
      if (!gradient) continue
      const before = gradients.get(tensor)
      gradients.set(tensor, before ? this.#accumulate(tensor, before, gradient) : gradient)
    }
    end()
  }

  /** Leaves a leaf its gradient, in the array that it has for it or in one that is its own. */
  #hand(leaf: Tensor, gradient: GpuArray<'f32'>): void {
    if (gradient === leaf.gradient) return
    if (!leaf.gradient && gradient.storage.uses === 1) {
      leaf.gradient = gradient
      return
    }
    leaf.gradient ??= this.gpu.empty('f32', leaf.shape, 'gradient')
    this.gpu.copy(gradient, leaf.gradient)
    gradient.release()
  }

  #accumulate(tensor: Tensor, a: GpuArray<'f32'>, b: GpuArray<'f32'>): GpuArray<'f32'> {
    const { gpu } = this
    // An op may return a tensor's own gradient array second.
    const [sum, term] = b === tensor.gradient ? [b, a] : [a, b]
    if (sum === tensor.gradient || sum.storage.uses === 1) {
      accumulate(gpu, term, sum)
      term.release()
      return sum
    }
    // Another tensor's gradient shares this array, so the sum needs one of its own.
    const total = gpu.empty('f32', sum.shape, 'gradient sum')
    addArrays(gpu, { a: sum, b: term, y: total })
    sum.release()
    term.release()
    return total
  }
}
