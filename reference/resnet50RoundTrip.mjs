// Weights to PyTorch and back, full-width ResNet-50 of 1,000 classes, all through the command line:
//
//   1. a file that PyTorch saved gives the same logits here;
//   2. a file that `gramgrad train` wrote loads in PyTorch with strict=True and gives the same logits.
//
// After `npm run setup`, with a Python that has PyTorch and torchvision:
//
//   node reference/resnet50RoundTrip.mjs [PYTHON, default /usr/bin/python3]
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSafetensors, writeSafetensors } from '../dist/index.mjs'

const BOUND = 1e-4
const root = fileURLToPath(new URL('..', import.meta.url))
const python = process.argv[2] ?? '/usr/bin/python3'
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gramgrad-round-trip-'))
const at = (name) => path.join(folder, name)

function run(program, ...args) {
  const { status, stderr, error } = spawnSync(program, args, { cwd: root, encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.slice(0, 2).join(' ')} failed: ${stderr}`)
}
const torch = (...args) => run(python, 'reference/makeResnet50Fixtures.py', ...args)
const gramgrad = (...args) => run(process.execPath, 'bin/gramgrad.mjs', ...args)

/** The first batch of makeResnet50Fixtures.py: [4, 64, 64, 3] from hash(501, scale 4). */
function images() {
  return Float32Array.from({ length: 4 * 64 * 64 * 3 }, (_, i) => {
    let u = (Math.imul(i, 2654435761) + Math.imul(501, 40503) + 12345) >>> 0
    u = Math.imul(u ^ (u >>> 15), 2246822519) >>> 0
    u = Math.imul(u ^ (u >>> 13), 3266489917) >>> 0
    return Math.fround(Math.fround(((u ^ (u >>> 16)) >>> 0) / 2 ** 32 - 0.5) * 4)
  })
}

/** Norm of the difference of two files' logits over the norm. */
async function distance(ours, theirs) {
  const a = (await readSafetensors(ours)).tensors.get('fc').data
  const b = (await readSafetensors(theirs)).tensors.get('logits').data
  if (a.length !== 4000 || b.length !== 4000) throw new Error(`${a.length}, ${b.length} logits`)
  const square = (values) => values.reduce((sum, v) => sum + v * v, 0)
  return Math.sqrt(square(a.map((v, i) => v - b[i])) / square(b))
}

async function compare(what, model, weights) {
  gramgrad('features', model, '--input', `safetensors:${at('images.safetensors')}`, '--layers', 'fc', '--out', at('ours.safetensors'))
  torch('--load', weights, '--logits', at('theirs.safetensors'))
  const found = await distance(at('ours.safetensors'), at('theirs.safetensors'))
  console.log(`${what}: logits differ by ${found.toExponential(1)} of their norm`)
  if (!(found < BOUND)) throw new Error(`expected less than ${BOUND}`)
}

try {
  const labels = Int32Array.of(0, 999, 5, 7)
  await writeSafetensors(
    at('images.safetensors'),
    new Map([
      ['images', { shape: [4, 64, 64, 3], data: images() }],
      ['labels', { shape: [4], data: labels }],
    ]),
  )
  const weights = at('weights.safetensors')
  torch('--save', weights)
  await compare('saved by PyTorch', weights, weights)
  gramgrad(
    ...['train', '--dataset', `safetensors:${at('images.safetensors')}`, '--weights', weights],
    ...['--batch', '4', '--steps', '1', '--lr', '0.01', '--no-test', '--out', at('run')],
  )
  await compare('saved here', at('run'), at('run/weights.safetensors'))
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}
