// `npm test [-- pattern] [--jobs N] [--unsafe-fast]`: type checks the project, then bundles every
// test/**/*.test.ts whose path contains `pattern` and runs each in a process of its own. Files
// named *.driver.test.ts run once more on a second Vulkan driver, SwiftShader, where it is
// installed. With --unsafe-fast all run without Dawn's index clamping. Ends with the line `N passed, N failed`.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { setUp } from './setup/setUp.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const typeCheck = ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.']
const FILE_TIMEOUT_MS = 600_000
const swiftShader = ['chromium', 'chromium-browser']
  .map((folder) => `/usr/lib/${folder}/vk_swiftshader_icd.json`)
  .find((manifest) => existsSync(manifest))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string', default: '1' }, 'unsafe-fast': { type: 'boolean' } },
})
const jobs = Number(values.jobs)
if (!Number.isInteger(jobs) || jobs < 1) {
  console.error(`--jobs must be a whole number of at least 1, not ${values.jobs}.`)
  process.exit(2)
}
const robustness = values['unsafe-fast'] ? { GRAMGRAD_UNSAFE_FAST: '1' } : {}
const selected = (name) => positionals.every((pattern) => name.includes(pattern))

const running = new Set()
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    for (const child of running) child.kill(signal)
    process.exit(130)
  })

/** Runs Node with these arguments; resolves with how it ended and all that it wrote. */
function runNode(args, env) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: '1', ...robustness, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let output = ''
    const streams = [child.stdout, child.stderr]
    for (const stream of streams)
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
      // A grandchild may still hold the pipes, which would put off 'close'.
      for (const stream of streams) stream.destroy()
    }, FILE_TIMEOUT_MS)
    child.on('close', (code, signal) => {
      running.delete(child)
      clearTimeout(timer)
      const end = timedOut ? 'timed out' : signal ? `killed by ${signal}` : `exit code ${code}`
      resolve({ ok: code === 0, end, output })
    })
  })
}

/** Sum of the numbers on uvu's closing lines of this name, or undefined where there is none. */
function uvuTotal(output, name) {
  const lines = [...output.matchAll(new RegExp(`^ {2}${name}: +(\\d+)$`, 'gm'))]
  return lines.length > 0 ? lines.reduce((sum, [, n]) => sum + Number(n), 0) : undefined
}

/** What a test file counts for; one that crashes, hangs or never sums up fails at least once. */
function countFile({ ok, output }) {
  const total = uvuTotal(output, 'Total')
  const passed = uvuTotal(output, 'Passed') ?? 0
  const failed = Math.max((total ?? 0) - passed, ok && total !== undefined ? 0 : 1)
  return { passed, failed, skipped: uvuTotal(output, 'Skipped') ?? 0 }
}

const countTool = ({ ok }) => ({ passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 })

await setUp()
const { bundle } = await import('./build.mjs')

/** Bundles one test file and runs it. */
async function runFile(file, env) {
  // Bundles lie flat in build/, as deep as dist/, so that paths from import.meta.url stay the same.
  const out = file.replaceAll('/', '-').replace(/\.ts$/, '')
  try {
    await bundle({ entryPoints: [{ in: file, out }], outdir: 'build', logLevel: 'silent' })
  } catch (error) {
    return { ok: false, end: 'does not compile', output: error.message }
  }
  return runNode(['--enable-source-maps', path.join('build', `${out}.mjs`)], env)
}

const tests = []
if (selected('types'))
  tests.push({ name: 'types', run: () => runNode(typeCheck), count: countTool })
const files = readdirSync(path.join(root, 'test'), { recursive: true })
  .map((file) => `test/${file.replaceAll('\\', '/')}`)
  .filter((file) => file.endsWith('.test.ts') && selected(file))
for (const file of files.sort()) {
  tests.push({ name: file, run: () => runFile(file), count: countFile })
  if (file.endsWith('.driver.test.ts'))
    tests.push({
      name: `${file} on SwiftShader`,
      skip: swiftShader ? undefined : 'SwiftShader is not installed (Debian: chromium brings it)',
      run: () => runFile(file, { VK_DRIVER_FILES: swiftShader }),
      count: countFile,
    })
}

const sum = { passed: 0, failed: 0, skipped: 0 }
const queue = tests.values()
async function work() {
  for (const { name, skip, run, count } of queue) {
    if (skip) {
      console.log(`skip  ${name}: ${skip}`)
      sum.skipped++
      continue
    }
    const start = performance.now()
    const result = await run()
    const counts = count(result)
    for (const key of Object.keys(sum)) sum[key] += counts[key]
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    if (counts.failed === 0) console.log(`ok    ${name} (${counts.passed} passed, ${seconds} s)`)
    else
      console.log(
        `FAIL  ${name} (${counts.failed} failed, ${seconds} s, ${result.end})\n${result.output}`,
      )
  }
}
await Promise.all(Array.from({ length: jobs }, work))
if (tests.length === 0) console.error(`No test file's path contains ${positionals.join(' and ')}.`)

const skipped = sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''
console.log(`\n${sum.passed} passed, ${sum.failed} failed${skipped}`)
if (sum.failed > 0 || tests.length === 0) process.exitCode = 1
