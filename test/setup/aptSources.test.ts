import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  backportsStanza,
  parseDeb822Sources,
  parseOneLineSources,
  readAptSources,
} from '../../scripts/setup/aptSources.mjs'

const mirror = 'http://mirror.example/debian'

test('one-line entries with and without options; comments, sources and CD-ROMs left out', () => {
  const sources = parseOneLineSources(`
# deb http://old.example/debian bookworm main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb-src ${mirror} bookworm main
deb ${mirror} bookworm main contrib # the mirror nearest to us
deb	[ arch=amd64 signed-by=/usr/share/keyrings/a.gpg ] ${mirror}-security bookworm-security main
`)
  assert.equal(sources, [
    { uris: [mirror], suites: ['bookworm'], components: ['main', 'contrib'], signedBy: undefined },
    {
      uris: [`${mirror}-security`],
      suites: ['bookworm-security'],
      components: ['main'],
      signedBy: '/usr/share/keyrings/a.gpg',
    },
  ])
})

test('deb822 stanzas: comments inside, fields over several lines, disabled ones left out', () => {
  const sources = parseDeb822Sources(`# The first stanza is off.
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

types: deb deb-src
# http://snapshot.example/debian
uris: ${mirror}
  http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFit
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb-src
URIs: ${mirror}
Suites: bookworm
Components: main
`)
  assert.equal(sources, [
    {
      uris: [mirror, 'http://second.example/debian'],
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main'],
      signedBy:
        '-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBFit\n -----END PGP PUBLIC KEY BLOCK-----',
    },
  ])
})

test('a folder is read in apt order, files of other names are not', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gramgrad-test-'))
  try {
    mkdirSync(path.join(folder, 'sources.list.d'))
    const write = (name: string, text: string) => writeFileSync(path.join(folder, name), text)
    write('sources.list.d/b.list', 'deb http://b.example/ two main\n')
    write('sources.list.d/a.sources', 'Types: deb\nURIs: http://a.example/\nSuites: one\n')
    write('sources.list.d/c.list.save', 'deb http://c.example/ three main\n')
    write('sources.list', 'deb http://main.example/ zero main\n')
    const suites = readAptSources(folder).flatMap((source) => source.suites)
    assert.equal(suites, ['zero', 'one', 'two'])
    assert.equal(readAptSources(path.join(folder, 'missing')), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('backports come from the mirror and with the key of the release itself', () => {
  const [security, release] = parseOneLineSources(`
deb http://updates.example/ bookworm-security main
deb [signed-by=/keys/debian.gpg] ${mirror} bookworm main
`)
  assert.is(
    backportsStanza([security!, release!], 'bookworm'),
    `Types: deb\nURIs: ${mirror}\nSuites: bookworm-backports\nComponents: main\nSigned-By: /keys/debian.gpg\n`,
  )
  assert.is(backportsStanza([security!], 'bookworm'), null)
})

test('backports that the machine has already are not added again', () => {
  const sources = parseOneLineSources(`
deb ${mirror} bookworm main
deb ${mirror} bookworm-backports main
`)
  assert.is(backportsStanza(sources, 'bookworm'), '')
})

test.run()
