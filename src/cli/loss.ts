import process from 'node:process'
import { Command, InvalidArgumentError } from 'commander'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import { type NamedTensor, readSafetensors, writeSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { instantiate, type Objective } from '../losses/objective.ts'
import { objectiveNamed } from '../losses/registry.ts'
import { checkLabels, describeFlags, type Targets } from '../losses/targets.ts'
import { fromTorchLayout, toTorchLayout } from '../nn/stateDict.ts'
import { openTunedGpu } from './openTunedGpu.ts'

/** The classes at which the paper tuned its hyperparameters: the command's defaults are those. */
const PAPER_CLASSES = 1000

interface Options {
  readonly in: string
  readonly out?: string
  readonly set?: Readonly<Record<string, string>>
  readonly seed: number
  readonly json?: boolean
}

function setting(text: string, before?: Readonly<Record<string, string>>): Record<string, string> {
  const [, key, value] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (!key || !value) throw new InvalidArgumentError('expected key=value')
  return { ...before, [key]: value }
}

function seed(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('expected an integer of at least 0')
  return value
}

export function lossCommand(): Command {
  return new Command('loss')
    .description('compute an objective and its gradients of arrays from any framework')
    .argument('<NAME>', 'softmax, label-smoothing, ... or a combination as logit-norm+sigmoid')
    .requiredOption(
      '--in <F>',
      '.safetensors with labels [N] or targets [N, K], and logits [N, K] or features [N, M], weight [K, M], bias [K]',
    )
    .option('--set <KEY=VALUE>', 'a hyperparameter, or variant=paper|released', setting)
    .option('--out <G>', '.safetensors for per_example [N] and the gradients of the mean loss')
    .option('--seed <N>', 'seed of the dropout mask', seed, 0)
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(name: string, options: Options, command: Command): Promise<void> {
  let objectiveOf: (classes: number) => Objective
  try {
    objectiveOf = chooseObjective(name, options.set)
  } catch (error) {
    command.error(`gramgrad: ${(error as Error).message}`, { exitCode: 2 })
  }
  const { tensors } = await readSafetensors(options.in)
  const input = new LossFile(options.in, tensors)
  const objective = objectiveOf(input.classes)
  if (objective.needsFeatures && !input.layer)
    throw new Error(`${options.in}: ${name} ${objective.needsFeatures}`)
  input.check(objective)
  const gpu = await openTunedGpu()
  try {
    const { loss, results } = await compute(gpu, objective, input, options.seed)
    if (options.out) await writeSafetensors(options.out, results)
    const report = { loss, n: input.examples, classes: input.classes }
    process.stdout.write(
      options.json
        ? `${JSON.stringify(report)}\n`
        : `${name}: loss ${loss}, ${report.n} examples, ${report.classes} classes\n`,
    )
  } finally {
    gpu.close()
  }
}

/** @throws Error naming the objective or the setting that is wrong */
function chooseObjective(
  name: string,
  set: Readonly<Record<string, string>> = {},
): (classes: number) => Objective {
  const definition = objectiveNamed(name)
  const { variant = 'paper', ...rest } = set
  if (variant !== 'paper' && variant !== 'released')
    throw new Error(`--set variant=${variant}, expected paper or released`)
  const given: Record<string, number> = {}
  for (const [key, text] of Object.entries(rest)) {
    given[key] = Number(text)
    if (!Number.isFinite(given[key])) throw new Error(`--set ${key}=${text}, expected a number`)
  }
  const values: Record<string, number> = { ...given }
  for (const [key, hyperparameter] of Object.entries(definition.hyperparameters))
    values[key] ??= hyperparameter.default({ classes: PAPER_CLASSES, variant }, values)
  const ofClasses = (classes: number) => instantiate(definition, classes, values, { variant })
  ofClasses(PAPER_CLASSES)
  return ofClasses
}

/** What a file brings: arrays checked against each other. */
class LossFile {
  readonly examples: number
  readonly classes: number
  /** True where the file has features, weight and bias. */
  readonly layer: boolean

  constructor(
    readonly file: string,
    readonly tensors: ReadonlyMap<string, NamedTensor>,
  ) {
    this.layer = tensors.has('features')
    if (tensors.has('logits') === this.layer)
      throw new Error(
        `${file} has ${this.layer ? 'both' : 'neither'} logits and features, expected either logits, or features with weight and bias`,
      )
    const [examples, columns] = this.floats(this.layer ? 'features' : 'logits', 2).shape
    this.examples = examples!
    this.classes = this.layer ? this.floats('weight', 2).shape[0]! : columns!
    if (!this.examples || !this.classes) throw new Error(`${file} has no example or no class`)
    if (this.layer) {
      this.floats('weight', 2, [this.classes, columns!])
      this.floats('bias', 1, [this.classes])
    }
    if (tensors.has('labels') === tensors.has('targets'))
      throw new Error(
        `${file} has ${tensors.has('labels') ? 'both' : 'neither'} labels and targets, expected one of them`,
      )
  }

  /** A float tensor as f32, its shape checked and its values finite. */
  floats(name: string, rank: number, shape?: readonly number[]): FloatTensor {
    const tensor = this.tensors.get(name)
    if (!tensor) throw new Error(`${this.file} has no ${name}`)
    const { data } = tensor
    if (!(data instanceof Float32Array || data instanceof Float64Array))
      throw new Error(`${this.file}: ${name} is ${data.constructor.name}, expected F32 or F64`)
    if (tensor.shape.length !== rank || (shape && `${tensor.shape}` !== `${shape}`))
      throw new Error(
        `${this.file}: ${name} is [${tensor.shape}], expected ${shape ? `[${shape}]` : `${rank} dimensions`}`,
      )
    const values = Float32Array.from(data)
    const at = values.findIndex((value) => !Number.isFinite(value))
    if (at >= 0) throw new Error(`${this.file}: ${name} holds ${data[at]} at element ${at}`)
    return { shape: tensor.shape, data: values }
  }

  /** Checks labels or targets. @throws Error naming what does not fit */
  check(objective: Objective): void {
    const { file, examples, classes } = this
    const labels = this.tensors.get('labels')
    if (!labels) {
      this.floats('targets', 2, [examples, classes])
      return
    }
    const { data } = labels
    if (!(data instanceof Int32Array || data instanceof BigInt64Array))
      throw new Error(`${file}: labels are ${data.constructor.name}, expected I32 or I64`)
    if (labels.shape.length !== 1 || labels.shape[0] !== examples)
      throw new Error(`${file}: labels are [${labels.shape}], expected [${examples}]`)
    checkLabels(`${file}: ${objective.name}`, data, classes)
  }

  target(gpu: Gpu): Targets {
    const { examples, classes } = this
    const labels = this.tensors.get('labels')
    if (!labels)
      return { targets: gpu.upload('f32', [examples, classes], this.floats('targets', 2).data) }
    return { labels: gpu.upload('u32', [examples], Uint32Array.from(labels.data, Number)) }
  }
}

interface FloatTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

async function compute(
  gpu: Gpu,
  objective: Objective,
  input: LossFile,
  seed: number,
): Promise<{ loss: number; results: Map<string, NamedTensor> }> {
  const leaf = ({ shape, data }: FloatTensor) => new Tensor(gpu.upload('f32', shape, data), true)
  const outputs = {
    perExample: gpu.empty('f32', [input.examples]),
    status: gpu.zeros('u32', [1]),
  }
  const target = input.target(gpu)
  const tape = new Tape(gpu)
  const leaves: Record<string, Tensor> = {}
  let loss: Tensor
  if (input.layer) {
    const features = leaf(input.floats('features', 2))
    const torch = input.floats('weight', 2)
    const shape = [torch.shape[1]!, torch.shape[0]!]
    const weight = leaf({ shape, data: fromTorchLayout('in-out', shape, torch.data) })
    const bias = leaf(input.floats('bias', 1))
    Object.assign(leaves, { features, weight, bias })
    const draw = { seed, draw: gpu.zeros('u32', [2]) }
    const layer = { weight, bias }
    loss = objective.lossOfFeatures(tape, { features, layer, target, draw, outputs })
  } else {
    leaves.logits = leaf(input.floats('logits', 2))
    loss = objective.loss(tape, leaves.logits, target, outputs)
  }
  const { value } = tape.keep(loss)
  tape.backward(loss)
  const results = new Map<string, NamedTensor>()
  results.set('per_example', {
    shape: [input.examples],
    data: await gpu.read(outputs.perExample),
  })
  for (const [name, tensor] of Object.entries(leaves))
    results.set(`d_${name}`, await readGradient(gpu, name, tensor.gradient!))
  const flags = describeFlags((await gpu.read(outputs.status))[0]!)
  if (flags) throw new Error(`${input.file}: ${objective.name}: ${flags}`)
  const mean = (await gpu.read(value))[0]!
  if (!Number.isFinite(mean))
    throw new Error(`${input.file}: ${objective.name}: the loss is ${mean}, beyond float32`)
  return { loss: mean, results }
}

async function readGradient(
  gpu: Gpu,
  name: string,
  gradient: GpuArray<'f32'>,
): Promise<NamedTensor> {
  const data = await gpu.read(gradient)
  const { shape } = gradient
  if (name !== 'weight') return { shape, data }
  return { shape: [shape[1]!, shape[0]!], data: toTorchLayout('in-out', shape, data) }
}
