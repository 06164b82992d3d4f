import { readFile } from 'node:fs/promises'
import { parse } from 'smol-toml'
import * as v from 'valibot'
import { fileError } from '../../data/files.ts'
import { objectives } from '../../losses/registry.ts'
import { scheduleNames } from '../../optim/schedule.ts'
import { transferMethods } from '../../transfer/transferTo.ts'
import { quickstartRecipe } from '../quickstart.ts'

const whole = (least: number) =>
  v.pipe(
    v.number(),
    v.check(
      (value) => Number.isSafeInteger(value) && value >= least,
      `an integer of at least ${least}`,
    ),
  )
const above0 = v.pipe(
  v.number(),
  v.check((value) => value > 0 && Number.isFinite(value), 'a number above 0'),
)
const atLeast0 = v.pipe(
  v.number(),
  v.check((value) => value >= 0 && Number.isFinite(value), 'a number of at least 0'),
)
const text = v.pipe(
  v.string(),
  v.check((value) => value !== '', 'a text that is not empty'),
)
const names = v.pipe(
  v.array(text),
  v.check((value) => value.length > 0, 'a list that is not empty'),
)
const seedList = v.pipe(
  v.array(whole(0)),
  v.check((value) => value.length > 0, 'a list that is not empty'),
)
const values = v.record(v.string(), v.pipe(v.number(), v.finite('a finite number')))

/** How every run of a study trains; what is left out is the quickstart's. */
const training = v.strictObject({
  width: v.optional(above0, quickstartRecipe.width),
  steps: v.optional(whole(1), quickstartRecipe.steps),
  batch: v.optional(whole(2), quickstartRecipe.batch),
  lr: v.optional(above0, quickstartRecipe.lr),
  schedule: v.optional(v.picklist(scheduleNames), quickstartRecipe.schedule),
  warmupSteps: v.optional(whole(0)),
  momentum: v.optional(atLeast0, quickstartRecipe.momentum),
  nesterov: v.optional(v.boolean(), quickstartRecipe.nesterov),
  weightDecay: v.optional(atLeast0, quickstartRecipe.weightDecay),
})

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
})

/** Where the features are tried out. */
const transfer = v.strictObject({
  datasets: v.optional(v.array(text), []),
  methods: v.optional(v.array(v.picklist(transferMethods)), [...transferMethods]),
  metric: v.optional(v.picklist(['top1', 'per-class']), 'top1'),
  /** Strengths of regularisation to choose from; default the paper's 45. */
  lambdas: v.optional(
    v.pipe(
      v.array(above0),
      v.check((value) => value.length > 0, 'a list that is not empty'),
    ),
  ),
  /** Images to learn from and to test on, at most; drawn by a fixed seed from larger sets. */
  train: v.optional(whole(2), 10 ** 9),
  test: v.optional(whole(1), 10 ** 9),
})

const schema = v.strictObject({
  title: v.optional(text, 'What the objectives do to the features'),
  dataset: text,
  size: v.optional(v.picklist(['subset', 'full', 'auto'])),
  objectives: v.optional(v.union([v.literal('all'), names]), 'all'),
  seeds: v.optional(seedList, [1]),
  training: v.optional(training, {}),
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
    return parse(source)
  } catch (error) {
    const [first] = (error as Error).message.split('\n')
    throw new Error(`${file} is not TOML: ${first}`)
  }
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
    const { entries } = unwrapped(at)
    at = entries?.[key]
  }
  return Object.keys(unwrapped(at).entries ?? {})
}

/** What an optional setting holds where it is there. */
function unwrapped(of: unknown): { entries?: Record<string, unknown> } {
  const { wrapped = of } = of as { wrapped?: unknown }
  return wrapped as { entries?: Record<string, unknown> }
}
