import fs from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readImageHeader } from '../../src/data/imageHeader.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'

const FIXTURES = join(packageRoot(), 'test/fixtures/images')

test('the headers of all fixtures are those that the decoder reads', async () => {
  for (const folder of ['go', 'imaging']) {
    for (const name of fs.readdirSync(join(FIXTURES, folder))) {
      if (name === 'LICENSE' || name.startsWith('invalid-')) continue
      const bytes = fs.readFileSync(join(FIXTURES, folder, name))
      const { format, height, width, space } = await sharp(bytes).metadata()
      const expected = { format, height, width, isCmyk: space === 'cmyk' }
      assert.equal(readImageHeader(bytes), expected, name)
    }
  }
})

test('every beginning of a file is read or left to the decoder, never misread', () => {
  for (const name of ['go/video-001.progressive.jpeg', 'go/basn2c08.png']) {
    const bytes = fs.readFileSync(join(FIXTURES, name))
    const whole = readImageHeader(bytes)
    for (let length = 0; length < Math.min(bytes.length, 2000); length++) {
      const header = readImageHeader(bytes.subarray(0, length))
      assert.ok(header === undefined || JSON.stringify(header) === JSON.stringify(whole))
    }
  }
  assert.is(readImageHeader(new TextEncoder().encode('RIFF....WEBPVP8 ')), undefined)
  assert.is(readImageHeader(Uint8Array.of(0xff, 0xd8, ...new Array(40).fill(0))), undefined)
  assert.is(
    readImageHeader(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 0, ...new Array(9).fill(0xff))),
    undefined,
  )
})

test.run()
