import { readdirSync, readSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ScratchFiles } from '../../src/analysis/scratchFiles.ts'

const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith('gramgrad-features-'))

test('a file has no name that a killed process would leave, and is taken again', () => {
  const before = left()
  const files = new ScratchFiles()
  const [a, b] = [files.take(), files.take()]
  assert.is.not(a, b)
  if (process.platform !== 'win32') assert.equal(left(), before)
  writeSync(a, Uint8Array.of(1, 2, 3), 0, 3, 1000)
  const bytes = new Uint8Array(3)
  assert.is(readSync(a, bytes, 0, 3, 1000), 3)
  assert.equal(bytes, Uint8Array.of(1, 2, 3))
  files.give(a)
  assert.is(files.take(), a)
  files.close()
  assert.equal(left(), before)
})

test.run()
