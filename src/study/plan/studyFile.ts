import { readFile } from 'node:fs/promises'
import { parse } from 'smol-toml'
import * as v from 'valibot'
import { fileError } from '../../data/files.ts'
import { objectives } from '../../losses/registry.ts'
import { transferMethods } from '../../transfer/transferTo.ts'
import { objectiveTraining, training } from './trainingKeys.ts'
import { above0, listOf, text, whole } from './values.ts'

const seedList = listOf(whole(0))
const metricName = v.picklist(['top1', 'per-class'])
const values = v.record(v.string(), v.pipe(v.number(), v.finite('a finite number')))

/** Examples of a minibatch of CKA where the study does not say. */
export const CKA_BATCH = 250

/** What is looked at inside of each network. */
const analysis = v.strictObject({
  /** Images for class separation and sparsity, at most. */
  images: v.optional(whole(4), 2000),
  split: v.optional(v.picklist(['train', 'test']), 'test'),
  /** Class separation is also measured every so many epochs; 0 for never. */
  trajectory: v.optional(whole(0), 1),
  /** Test images for CKA; 0 for none. */
  ckaImages: v.optional(
    v.pipe(
      whole(0),
      v.check((value) => value === 0 || value >= 4, '0 or an integer of at least 4'),
    ),
    1000,
  ),
  /** Test images of a minibatch of CKA, and passes over them. */
  ckaBatch: v.optional(whole(4), CKA_BATCH),
  ckaEpochs: v.optional(whole(1), 1),
})

/** Where the features are tried out. */
const transfer = v.strictObject({
  datasets: v.optional(v.array(text), []),
  methods: v.optional(v.array(v.picklist(transferMethods)), [...transferMethods]),
  metric: v.optional(metricName, 'top1'),
  /** Of single data sets, by their names in `datasets`. */
  metrics: v.optional(v.record(v.string(), metricName), {}),
  /** Shortest side that images are resized to before the centre is taken; default 8/7 of the input's. */
  resize: v.optional(whole(1)),
  /** Strengths of regularisation to choose from; default the paper's 45. */
  lambdas: v.optional(listOf(above0)),
  /** Images to learn from and to test on, at most; drawn by a fixed seed from larger sets. */
  train: v.optional(whole(2), 10 ** 9),
  test: v.optional(whole(1), 10 ** 9),
})

const schema = v.strictObject({
  title: v.optional(text, 'What the objectives do to the features'),
  dataset: text,
  /** Folder that relative paths of data sets start from; default: the working directory. */
  data: v.optional(text),
  size: v.optional(v.picklist(['subset', 'full', 'auto'])),
  objectives: v.optional(v.union([v.literal('all'), listOf(text)]), 'all'),
  seeds: v.optional(seedList, [1]),
  training: v.optional(training, {}),
  /** What is otherwise for single objectives. */
  trainingOf: v.optional(v.record(v.string(), objectiveTraining), {}),
  hyperparameters: v.optional(v.record(v.string(), values), {}),
  sweep: v.optional(v.record(v.string(), v.record(v.string(), v.array(v.number()))), {}),
  sweepSeeds: v.optional(seedList),
  analysis: v.optional(analysis, {}),
  transfer: v.optional(transfer, {}),
})

/** A study as its TOML file describes it, defaults filled in. */
export type Study = Omit<v.InferOutput<typeof schema>, 'objectives'> & {
  /** Names, `all` replaced by the nine of the paper. */
  readonly objectives: readonly string[]
}

/** What accuracy means on a transfer set. */
export function transferMetric({ transfer: { metric, metrics } }: Study, name: string) {
  return metrics[name] ?? metric
}

/**
 * @throws Error naming the file, and the line or the key that is wrong, with what was expected
 */
export async function readStudyFile(file: string): Promise<Study> {
  const source = await readFile(file, 'utf8').catch((error) => {
    throw fileError(file, 'read', error)
  })
  return parseStudy(source, file)
}

/** The same from a text; `file` is what errors name. */
export function parseStudy(source: string, file: string): Study {
  const found = v.safeParse(schema, parsed(source, file))
  if (!found.success) throw new Error(`${file}: ${sentence(found.issues)}`)
  const study = found.output
  const list = study.objectives === 'all' ? [...objectives.keys()] : study.objectives
  return { ...study, objectives: list }
}

function parsed(source: string, file: string): unknown {
  try {
    return camelCased(parse(source))
  } catch (error) {
    const [first] = (error as Error).message.split('\n')
    throw new Error(`${file} is not TOML: ${first}`)
  }
}

/** Training settings in kebab-case, as recipes for `train` have them, get the study's spelling. */
function camelCased(study: Record<string, unknown>): Record<string, unknown> {
  const { training: common } = study
  if (typeof common !== 'object' || common === null) return study
  const entries = Object.entries(common).map(([key, value]) => [
    key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ])
  return { ...study, training: Object.fromEntries(entries) }
}

type Issue = v.BaseIssue<unknown>

const isUnknownKey = ({ type, expected }: Issue) => type === 'strict_object' && expected === 'never'

/** One fault as a sentence; an unknown key first, since it may be a known one misspelt. */
function sentence(issues: readonly Issue[]): string {
  const issue = issues.find(isUnknownKey) ?? issues[0]!
  const path = (issue.path ?? []).map(({ key }) => String(key))
  const key = path.join('.')
  if (isUnknownKey(issue))
    return `${key} is not a setting of a study, expected one of ${knownKeys(path.slice(0, -1)).join(', ')}`
  if (issue.input === undefined) return `${key} is missing`
  const told = issue.type === 'check' || issue.type === 'finite'
  return `${key} is ${JSON.stringify(issue.input)}, expected ${told ? issue.message : kindNames(issue.expected ?? '')}`
}

function kindNames(expected: string): string {
  const kinds = { string: 'a text', number: 'a number', Array: 'a list', Object: 'a table' }
  return expected
    .replace(/\b(string|number|Array|Object)\b/g, (kind) => kinds[kind as keyof typeof kinds])
    .replace(/["()]/g, '')
    .replaceAll(' | ', ' or ')
}

function knownKeys(path: readonly string[]): string[] {
  let at: unknown = schema
  for (const key of path) {
    const { entries, value } = unwrapped(at)
    at = entries?.[key] ?? value
  }
  return Object.keys(unwrapped(at).entries ?? {})
}

/** What an optional setting holds where it is there: keys by name, or a value under any key. */
function unwrapped(of: unknown): { entries?: Record<string, unknown>; value?: unknown } {
  const { wrapped = of } = of as { wrapped?: unknown }
  return wrapped as { entries?: Record<string, unknown>; value?: unknown }
}
