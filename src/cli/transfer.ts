import process from 'node:process'
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { readSafetensors } from '../data/safetensors.ts'
import { type Gpu, openGpu } from '../gpu/gpu.ts'
import type { LabelledFeatures } from '../transfer/labelledFeatures.ts'
import { linearProbe } from '../transfer/linearProbe.ts'
import { type Metric, metrics } from '../transfer/metric.ts'
import { nearestNeighbours } from '../transfer/nearestNeighbours.ts'
import { integer } from './parse.ts'
import { Progress } from './progress.ts'

const METHODS = ['linear', 'knn'] as const

interface Options {
  readonly train?: string
  readonly test: string
  readonly metric: 'top1' | 'per-class'
  readonly distance: Metric
  readonly mostNeighbours: number
  readonly validation: number
  readonly maxIterations: number
  readonly seed: number
  readonly json?: boolean
}

function share(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < 1)) throw new InvalidArgumentError('expected a share between 0 and 1')
  return value
}

export function transferCommand(): Command {
  return new Command('transfer')
    .description('how well fixed features serve another task (Table 1)')
    .addArgument(new Argument('<METHOD>', 'classifier on the features').choices(METHODS))
    .argument('[FEATURES]', 'the same as --train')
    .option('--train <F>', '.safetensors with features [n, p] and labels [n] to learn from')
    .requiredOption('--test <F>', '.safetensors with features [n, p] and labels [n] to test on')
    .addOption(
      new Option('--metric <NAME>', 'what lambda or k is chosen by, and what is printed')
        .choices(['top1', 'per-class'])
        .default('top1'),
    )
    .addOption(new Option('--distance <NAME>', 'of knn').choices(metrics).default('cosine'))
    .option('--most-neighbours <N>', 'of knn: k is chosen from 1 to this', integer(1), 50)
    .option('--validation <SHARE>', 'of linear: rows of each class to choose lambda by', share, 0.2)
    .option('--max-iterations <N>', 'of linear: steps of L-BFGS a lambda', integer(1), 5000)
    .option('--seed <N>', 'draws the validation rows', integer(0), 0)
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(
  method: (typeof METHODS)[number],
  features: string | undefined,
  options: Options,
): Promise<void> {
  const train = options.train ?? features
  if (train === undefined || (features !== undefined && options.train !== undefined))
    throw new Error(
      `training features are given ${train === undefined ? 'nowhere' : 'twice'}, expected --train F.safetensors`,
    )
  const sets = [await readFeatures(train), await readFeatures(options.test)] as const
  const gpu = await openGpu()
  const progress = new Progress()
  try {
    const report = await (method === 'linear' ? linear : neighbours)(gpu, sets, options, progress)
    progress.stop()
    process.stdout.write(
      options.json ? `${JSON.stringify(report)}\n` : `${describe(report, options)}\n`,
    )
  } finally {
    progress.stop()
    gpu.close()
  }
}

/** What --json prints. */
interface Report {
  readonly method: string
  readonly accuracy: number
  readonly meanPerClass: number
  readonly perClass: readonly (number | null)[]
  readonly lambda?: number
  readonly k?: number
  readonly converged: boolean | null
  readonly gradientNorm: number | null
  readonly undefined?: Readonly<Record<string, string>>
  readonly [more: string]: unknown
}

type Sets = readonly [LabelledFeatures, LabelledFeatures]

async function linear(
  gpu: Gpu,
  [train, test]: Sets,
  { metric, validation, seed, maxIterations }: Options,
  progress: Progress,
): Promise<Report> {
  const task = progress.task('Fitting', 46, 'lambdas')
  const found = await linearProbe(gpu, train, test, {
    metric,
    validation,
    seed,
    maxIterations,
    onFit: (done) => task.update(done),
  })
  task.end()
  const stopped = found.path.filter(({ converged }) => !converged).map(({ lambda }) => lambda)
  if (!found.converged)
    progress.say(
      `not converged: ${stopped.length > 0 ? `lambda ${stopped.join(', ')}` : 'the final fit'}; more --max-iterations may help`,
    )
  if (found.atEdge) progress.say(`lambda ${found.lambda} is the last one tried on its side`)
  const { accuracy, meanPerClass, perClass, lambda, converged, gradientNorm, objective } = found
  return {
    method: 'linear',
    accuracy,
    meanPerClass,
    perClass,
    lambda,
    converged,
    gradientNorm,
    objective,
    atEdge: found.atEdge,
    n: { train: train.labels.length, test: test.labels.length },
    path: found.path,
    ...undefinedClasses(perClass),
  }
}

async function neighbours(
  gpu: Gpu,
  [train, test]: Sets,
  { metric, distance, mostNeighbours }: Options,
  progress: Progress,
): Promise<Report> {
  const total = train.labels.length + test.labels.length
  const task = progress.task('Finding neighbours', total, 'examples')
  const found = await nearestNeighbours(gpu, train, test, {
    metric: distance,
    accuracy: metric,
    mostNeighbours,
    onQueries: (done) => task.update(done),
  })
  task.end()
  if (found.atEdge) progress.say(`k ${found.k} is the largest one tried`)
  const { accuracy, meanPerClass, perClass, k, leaveOneOut, atEdge } = found
  const reason = 'nearest neighbours are not fitted'
  return {
    method: 'knn',
    accuracy,
    meanPerClass,
    perClass,
    k,
    converged: null,
    gradientNorm: null,
    distance,
    atEdge,
    n: { train: train.labels.length, test: test.labels.length },
    leaveOneOut,
    undefined: {
      converged: reason,
      gradientNorm: reason,
      ...undefinedClasses(perClass).undefined,
    },
  }
}

function undefinedClasses(perClass: readonly (number | null)[]) {
  const reasons: Record<string, string> = {}
  for (const [k, share] of perClass.entries())
    if (share === null) reasons[`perClass.${k}`] = 'no test example'
  return Object.keys(reasons).length > 0 ? { undefined: reasons } : {}
}

function describe(report: Report, { metric }: Options): string {
  const value = metric === 'top1' ? report.accuracy : report.meanPerClass
  const name = metric === 'top1' ? 'accuracy' : 'mean per-class accuracy'
  const choice =
    report.lambda === undefined ? `k ${report.k}` : `lambda ${report.lambda.toPrecision(3)}`
  const fit =
    report.converged === null
      ? ''
      : `, ${report.converged ? 'converged' : 'NOT converged'} (gradient norm ${report.gradientNorm!.toPrecision(2)})`
  return `${report.method}: ${name} ${(100 * value).toFixed(2)} %, ${choice}${fit}`
}

/** A .safetensors file's features, flattened to [n, p], and labels. */
async function readFeatures(path: string): Promise<LabelledFeatures> {
  const { tensors } = await readSafetensors(path)
  const features = tensors.get('features')
  const labels = tensors.get('labels')
  if (!features || !labels)
    throw new Error(
      `${path} has no ${features ? 'labels' : 'features'}, expected features and labels`,
    )
  const { data, shape } = features
  if (!(data instanceof Float32Array || data instanceof Float64Array) || shape.length < 2)
    throw new Error(
      `${path}: features are ${data.constructor.name} [${shape}], expected F32 or F64 [n, p]`,
    )
  if (labels.data instanceof Float32Array || labels.data instanceof Float64Array)
    throw new Error(`${path}: labels are ${labels.data.constructor.name}, expected integers`)
  if (labels.shape.length !== 1 || labels.shape[0] !== shape[0])
    throw new Error(`${path}: labels are [${labels.shape}], expected [${shape[0]}]`)
  const numbers = Array.from(labels.data as ArrayLike<number | bigint>, Number)
  const bad = numbers.findIndex((label) => !(label >= 0 && label < 2 ** 20))
  if (bad >= 0)
    throw new Error(`${path}: label ${bad} is ${numbers[bad]}, expected 0 to ${2 ** 20 - 1}`)
  return {
    name: path,
    features: Float32Array.from(data),
    labels: Uint32Array.from(numbers),
    width: shape.slice(1).reduce((a, b) => a * b, 1),
  }
}
