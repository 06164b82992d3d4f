// Reads the package sources of a Debian or Ubuntu machine, in both formats that apt knows.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const words = (text) => text.trim().split(/\s+/).filter(Boolean)

/** Entries of `sources.list`: lines `deb [option=value ...] URI suite component ...`. */
export function parseOneLineSources(text) {
  const sources = []
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?([^\s[]+)\s+(\S+)([^#]*)/.exec(line)
    if (!match) continue
    const [, options = '', uri, suite, components] = match
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1]
    sources.push({ uris: [uri], suites: [suite], components: words(components), signedBy })
  }
  return sources
}

/** Entries of a `*.sources` file: deb822 stanzas. Disabled and source-only ones are left out. */
export function parseDeb822Sources(text) {
  const sources = []
  const withoutComments = text.replace(/^#.*\n?/gm, '')
  for (const stanza of withoutComments.split(/\n[^\S\n]*\n/)) {
    const field = {}
    for (const [, name, value] of stanza.matchAll(/^([\w-]+):(.*(?:\n[^\S\n].*)*)/gm))
      field[name.toLowerCase()] = value.trim()
    if (!words(field.types ?? '').includes('deb') || field.enabled?.toLowerCase() === 'no') continue
    sources.push({
      uris: words(field.uris ?? ''),
      suites: words(field.suites ?? ''),
      components: words(field.components ?? ''),
      signedBy: field['signed-by'],
    })
  }
  return sources
}

/** Every entry under `aptFolder`, in apt's own order: the main list first, then the parts. */
export function readAptSources(aptFolder = '/etc/apt') {
  const main = path.join(aptFolder, 'sources.list')
  const parts = path.join(aptFolder, 'sources.list.d')
  const files = existsSync(parts) ? readdirSync(parts).map((name) => path.join(parts, name)) : []
  return [...(existsSync(main) ? [main] : []), ...files.sort()].flatMap((file) => {
    if (file.endsWith('.sources')) return parseDeb822Sources(readFileSync(file, 'utf8'))
    if (file.endsWith('.list')) return parseOneLineSources(readFileSync(file, 'utf8'))
    return []
  })
}

/**
 * The deb822 stanza that adds `<codename>-backports` from the mirror that serves `codename`;
 * '' where the machine has it already, null where no entry serves `codename` itself.
 */
export function backportsStanza(sources, codename) {
  const backports = `${codename}-backports`
  if (sources.some(({ suites }) => suites.includes(backports))) return ''
  const base = sources.find(
    ({ suites, components }) => suites.includes(codename) && components.includes('main'),
  )
  if (!base) return null
  const lines = [
    'Types: deb',
    `URIs: ${base.uris.join(' ')}`,
    `Suites: ${backports}`,
    'Components: main',
  ]
  if (base.signedBy) lines.push(`Signed-By: ${base.signedBy}`)
  return `${lines.join('\n')}\n`
}
