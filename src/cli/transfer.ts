import process from 'node:process'
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import type { Gpu } from '../gpu/gpu.ts'
import { linearProbe } from '../transfer/linearProbe.ts'
import { type Metric, metrics } from '../transfer/metric.ts'
import { nearestNeighbours } from '../transfer/nearestNeighbours.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { integer } from './parse.ts'
import { Progress } from './progress.ts'
import { readSets, type TransferSets } from './transferSets.ts'

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
    .argument('[RUN]', 'run folder; without it, features are read from files')
    .option(
      '--train <D>',
      'data set to learn from, its training split; or .safetensors with features [n, p] and labels [n]',
    )
    .requiredOption('--test <D>', 'likewise, to test on: its test split')
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
  source: string | undefined,
  options: Options,
): Promise<void> {
  const gpu = await openTunedGpu()
  const progress = new Progress()
  try {
    const sets = await readSets(gpu, progress, source, options.train, options.test)
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

async function linear(
  gpu: Gpu,
  [train, test]: TransferSets,
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
  [train, test]: TransferSets,
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
