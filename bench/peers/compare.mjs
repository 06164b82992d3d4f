// Times gramgrad and its peers on the same cases, in turn, and prints medians and ratios.
//
//   npm start -- [--only PART] [--engines LIST] [--runs N] [--limit S] [--json FILE]
//
// Every time is by the clock, from the call until the device has finished. An engine that fails, takes
// longer than the limit or gives another result than PyTorch (without it, than gramgrad) has a blank.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cases } from './cases.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const THREADS = String(os.availableParallelism())
const ENGINES = {
  gramgrad: [process.execPath, path.join(here, '../../build/peers/gramgradWorker.mjs')],
  'tfjs-webgpu': [process.execPath, path.join(here, 'tfjsWorker.mjs')],
  'jax-js': [process.execPath, path.join(here, 'jaxWorker.mjs')],
  'PyTorch CPU': ['/usr/bin/python3', path.join(here, 'torchWorker.py'), THREADS],
}
/** Relative; sums of squares of f32 results in different orders of addition agree to 1e-5. */
const TOLERANCE = 1e-3

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    engines: { type: 'string', default: Object.keys(ENGINES).join(',') },
    runs: { type: 'string', default: '5' },
    limit: { type: 'string', default: '300' },
    json: { type: 'string' },
  },
})
const runs = Number(options.runs)
const limit = Number(options.limit)
const names = options.engines.split(',')
for (const name of names)
  if (!ENGINES[name]) {
    console.error(`--engines has ${name}, expected some of ${Object.keys(ENGINES).join(', ')}`)
    process.exit(2)
  }
if (!Number.isInteger(runs) || runs < 1) {
  console.error(`--runs is ${options.runs}, expected an integer of at least 1`)
  process.exit(2)
}

if (!(limit > 0)) {
  console.error(`--limit is ${options.limit}, expected seconds, a number above 0`)
  process.exit(2)
}

/** An engine in a process of its own, started when it is first asked. */
class Engine {
  #child
  #answers

  constructor(name) {
    this.name = name
  }

  #start() {
    const [command, ...args] = ENGINES[this.name]
    const child = spawn(command, args, {
      cwd: here,
      env: { XDG_RUNTIME_DIR: os.tmpdir(), ...process.env },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    child.stdin.on('error', () => {})
    this.#child = child
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    this.failure = new Promise((resolve) => {
      child.on('error', (error) => resolve({ reason: error.message }))
      child.on('close', (code, signal) =>
        resolve({ reason: `its process ended (${signal ?? code})` }),
      )
    })
  }

  /** The answer to a request, or {reason} where there is none in time. */
  async ask(request) {
    if (!this.#child) this.#start()
    this.#child.stdin.write(`${JSON.stringify(request)}\n`)
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(
        () => resolve({ reason: `no answer within ${limit} s`, isLate: true }),
        1000 * limit,
      )
    })
    const next = this.#answers
      .next()
      .then(({ value, done }) => (done ? this.failure : JSON.parse(value)))
    const answer = await Promise.race([next, late])
    clearTimeout(timer)
    if (answer.isLate || this.#child.exitCode !== null) this.stop()
    return answer
  }

  stop() {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}

const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2
}
const geometricMean = (numbers) =>
  Math.exp(numbers.reduce((sum, x) => sum + Math.log(x), 0) / numbers.length)

/** Prepares a case in every engine, then times one run of each in turn. */
async function measure(one, engines) {
  const results = Object.fromEntries(engines.map(({ name }) => [name, { samples: [] }]))
  for (const engine of engines)
    Object.assign(results[engine.name], await engine.ask({ prepare: one }))
  const reference = results['PyTorch CPU']?.check ?? results.gramgrad?.check
  for (const result of Object.values(results)) {
    const { check } = result
    if (result.reason) continue
    // A training step starts from other weights in each engine: its loss only has to be a number.
    const isWrong =
      one.op === 'step' ? !(check > 0) : !(Math.abs(check / reference - 1) < TOLERANCE)
    if (isWrong) result.reason = `its result is wrong: ${check}, expected ${reference}`
  }
  for (let run = 0; run < runs; run++)
    for (const engine of engines) {
      const result = results[engine.name]
      if (result.reason) continue
      const { ms, reason } = await engine.ask({ time: true })
      if (reason) result.reason = reason
      else result.samples.push(ms)
    }
  for (const engine of engines) await engine.ask({ release: true })
  for (const result of Object.values(results))
    if (!result.reason) result.ms = median(result.samples)
  return results
}

function row(one, results) {
  const own = results.gramgrad?.ms
  const cells = names.map((name) => {
    const { ms } = results[name]
    if (!ms) return '-'
    return name === 'gramgrad' || !own
      ? ms.toPrecision(3)
      : `${ms.toPrecision(3)} (${(ms / own).toPrecision(3)}x)`
  })
  return `| ${[one.name, ...cells].join(' | ')} |`
}

const engines = names.map((name) => new Engine(name))
const measured = []
const chosen = cases.filter(({ name }) => name.includes(options.only))
for (const [i, one] of chosen.entries()) {
  console.error(`${i + 1}/${chosen.length}: ${one.name}`)
  measured.push({ one, results: await measure(one, engines) })
}
for (const engine of engines) engine.stop()

console.log(`| ms, median of ${runs} | ${names.join(' | ')} |`)
console.log(`|${' --- |'.repeat(names.length + 1)}`)
for (const { one, results } of measured) console.log(row(one, results))
for (const [title, belongs] of [
  ['convolutions and matrix products', ({ op }) => op !== 'step'],
  ...['forward', 'backward-data', 'backward-weights'].map((pass) => [
    `convolutions ${pass}`,
    (one) => one.pass === pass,
  ]),
]) {
  const cells = names.map((name) => {
    const ratios = measured
      .filter(({ one, results }) => belongs(one) && results[name].ms && results.gramgrad?.ms)
      .map(({ results }) => results[name].ms / results.gramgrad.ms)
    return name === 'gramgrad' || ratios.length === 0
      ? ''
      : `${geometricMean(ratios).toPrecision(3)}x`
  })
  if (cells.some(Boolean)) console.log(`| geometric mean, ${title} | ${cells.join(' | ')} |`)
}
const blanks = measured.flatMap(({ one, results }) =>
  names
    .filter((name) => results[name].reason)
    .map((name) => `${name}, ${one.name}: ${results[name].reason}`),
)
if (blanks.length > 0) console.log(`\nBlanks:\n${blanks.map((blank) => `- ${blank}`).join('\n')}`)
if (options.json)
  writeFileSync(
    options.json,
    `${JSON.stringify(
      measured.map(({ one, results }) => ({ name: one.name, results })),
      null,
      2,
    )}\n`,
  )
