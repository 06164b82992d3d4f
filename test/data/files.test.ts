import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileBytes, writeFileWhole } from '../../src/data/files.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const isRoot = process.getuid?.() === 0
const onLinux = process.platform === 'linux'

test('writes text and pieces, replaces, leaves nothing else behind', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'a.bin')
  await writeFileWhole(file, [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)])
  assert.equal([...(await readFileBytes(file))], [1, 2, 3])
  await writeFileWhole(file, 'text\n')
  assert.is(fs.readFileSync(file, 'utf8'), 'text\n')
  assert.equal(fs.readdirSync(folder), ['a.bin'])
})

test('a write that fails half-way keeps the old file and removes the temporary one', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'a.bin')
  await writeFileWhole(file, 'old')
  function* pieces(): Generator<Uint8Array> {
    yield new Uint8Array(1000)
    throw new Error('the source failed')
  }
  assert.is(
    await rejection(writeFileWhole(file, pieces())),
    `${file} cannot be written: the source failed`,
  )
  assert.is(fs.readFileSync(file, 'utf8'), 'old')
  assert.equal(fs.readdirSync(folder), ['a.bin'])
})

test('a short write, as on a device that fills up, is an error and no truncated file', async () => {
  if (!onLinux) return
  const folder = temporaryFolder()
  const file = join(folder, 'a.bin')
  const script = join(packageRoot(), 'build', `shortWrite-${process.pid}.mjs`)
  await build({
    stdin: {
      contents: `
        import { writeFileWhole } from './src/data/files.ts'
        process.on('SIGXFSZ', () => {})
        const report = (error) => console.log(error.message)
        await writeFileWhole(${JSON.stringify(file)}, [new Uint8Array(200_000)]).catch(report)`,
      resolveDir: packageRoot(),
    },
    outfile: script,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
  })
  try {
    await writeFileWhole(file, 'old')
    // Under a limit of 64 KiB the first write call is cut short, the second one fails; the signal
    // that comes with it would end the process.
    const limited = `ulimit -f 64; exec "${process.execPath}" "${script}"`
    const { stdout, stderr } = spawnSync('bash', ['-c', limited], { encoding: 'utf8' })
    assert.is(
      stdout.trim(),
      `${file} cannot be written: it would pass the limit on file sizes`,
      stderr,
    )
    assert.is(fs.readFileSync(file, 'utf8'), 'old')
    assert.equal(fs.readdirSync(folder), ['a.bin'])
  } finally {
    fs.rmSync(script)
  }
})

test('unwritable places are named', async () => {
  const folder = temporaryFolder()
  const missing = join(folder, 'no', 'a.bin')
  assert.is(
    await rejection(writeFileWhole(missing, 'x')),
    `${missing} cannot be written: the folder ${join(folder, 'no')} does not exist`,
  )
  fs.writeFileSync(join(folder, 'plain'), '')
  const below = join(folder, 'plain', 'a.bin')
  assert.match(await rejection(writeFileWhole(below, 'x')), `${below} cannot be written: `)
  fs.mkdirSync(join(folder, 'taken'))
  const taken = join(folder, 'taken')
  assert.match(await rejection(writeFileWhole(taken, 'x')), `${taken} cannot be written: `)
  assert.equal(fs.readdirSync(folder).sort(), ['plain', 'taken'])
})

test('a folder without write permission is named', async () => {
  // Root writes anywhere; Windows has no such bits.
  if (isRoot || process.platform === 'win32') return
  const folder = temporaryFolder()
  fs.chmodSync(folder, 0o555)
  const file = join(folder, 'a.bin')
  assert.is(
    await rejection(writeFileWhole(file, 'x')),
    `${file} cannot be written: permission is denied`,
  )
})

test('unreadable files are named', async () => {
  const folder = temporaryFolder()
  const missing = join(folder, 'a.bin')
  assert.is(await rejection(readFileBytes(missing)), `${missing} cannot be read: it does not exist`)
  assert.is(
    await rejection(readFileBytes(folder)),
    `${folder} cannot be read: it is a folder, expected a file`,
  )
})

test.run()
