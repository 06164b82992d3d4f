import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { decode } from 'fast-png'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { renderReport } from '../../src/study/report/renderReport.ts'
import { layerNames, sampleStudyResult, sampleWithUndefined } from './sampleStudyResult.ts'

const test = suite<{ folder: string }>('renderReport', { folder: '' })

test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'gramgrad-report-'))
})

test.after.each(async ({ folder }) => {
  await rm(folder, { recursive: true, force: true })
})

async function textOf(paths: string[], name: string): Promise<string> {
  const path = paths.find((candidate) => basename(candidate) === name)
  assert.ok(path, `${name} is written`)
  return await readFile(path!, 'utf8')
}

test('writes every file whole, the report self-contained, the same bytes every time', async ({
  folder,
}) => {
  const result = sampleWithUndefined()
  const paths = await renderReport(result, join(folder, 'a', 'run'), () => {})
  const again = await renderReport(result, join(folder, 'b'), () => {})
  assert.equal(paths.map((path) => basename(path)).sort(), [
    'cka-softmax-squared-error.png',
    'cka-softmax-squared-error.svg',
    'non-zero-by-layer.png',
    'non-zero-by-layer.svg',
    'r2-by-layer.png',
    'r2-by-layer.svg',
    'report.html',
    'tables.csv',
    'tables.md',
    'top1-by-epoch.png',
    'top1-by-epoch.svg',
    'training-loss.png',
    'training-loss.svg',
  ])
  assert.is(basename(paths[0]!), 'report.html')
  assert.equal((await readdir(join(folder, 'a', 'run'))).sort(), [
    'charts',
    'report.html',
    'tables.csv',
    'tables.md',
  ])
  for (const [i, path] of paths.entries()) {
    assert.ok((await readFile(path)).equals(await readFile(again[i]!)), `${basename(path)} repeats`)
  }

  const html = await textOf(paths, 'report.html')
  assert.not.match(html, /http|<script|<link|<img|@import|url\((?!#)|NaN|\[object/)
  assert.match(html, /<meta name="viewport"/)
  assert.match(html, /prefers-color-scheme:dark/)
  assert.match(html, /all activations of the layer are zero/)
  assert.match(html, /the features of layer4\.2 are constant/)
  assert.match(html, /npm start/)
  const ids = [...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]!)
  assert.is(new Set(ids).size, ids.length, 'no id twice')
  for (const [, id] of html.matchAll(/url\(#([^)]+)\)/g)) assert.ok(ids.includes(id!), id)

  for (const path of paths.filter((candidate) => candidate.endsWith('.png'))) {
    const svg = await readFile(path.replace(/png$/, 'svg'), 'utf8')
    assert.not.match(svg.replace(/ xmlns(:xlink)?="[^"]*"/g, ''), /http|NaN/)
    const [, width, height] = / width="([\d.]+)" height="([\d.]+)"/.exec(svg)!
    const png = decode(await readFile(path))
    // The renderer rounds a size that is not whole to pixels.
    assert.ok(Math.abs(png.width - 2 * Number(width)) <= 1, `${basename(path)} is twice as wide`)
    assert.ok(Math.abs(png.height - 2 * Number(height)) <= 1, `${basename(path)} is twice as high`)
    assert.ok(new Set(png.data).size > 8, `${basename(path)} is not blank`)
  }
})

test('nine objectives and eight comparisons: a heat map each and a line chart of them', async ({
  folder,
}) => {
  const result = sampleStudyResult({ objectives: 9, comparisons: 8 })
  const paths = await renderReport(result, folder, () => {})
  const names = paths.map((path) => basename(path))
  for (const { b } of result.cka) assert.ok(names.includes(`cka-softmax-${b}.svg`), b)
  const lines = await textOf(paths, 'cka-by-layer.svg')
  assert.match(lines, /CKA with Softmax by layer/)
  for (const { label } of result.objectives.slice(1)) assert.ok(lines.includes(label), label)
  const r2 = await textOf(paths, 'r2-by-layer.svg')
  for (const { label, layers } of result.objectives) {
    for (const { name, r2: value } of layers) {
      assert.ok(
        r2.includes(`<title>${label}, ${name}: ${value!.toFixed(3)}</title>`),
        `${label} ${name}`,
      )
    }
  }
  const html = await textOf(paths, 'report.html')
  for (const layer of layerNames) assert.ok(html.includes(layer), layer)
})

test('text of a result is text in every file', async ({ folder }) => {
  const result = sampleStudyResult()
  const [first, second] = result.objectives
  result.title = 'a <i>title</i> & more'
  result.command = 'npm start -- --out "a&b" <x>'
  first!.label = 'S<b>o&f"t'
  second!.name = '../../x/<y>'
  result.cka[0]!.b = second!.name
  const paths = await renderReport(result, folder, () => {})
  const html = await textOf(paths, 'report.html')
  assert.not.match(html, /<i>|<b>o|<y>|<x>/)
  assert.match(html, /a &lt;i&gt;title&lt;\/i&gt; &amp; more/)
  assert.match(html, /S&lt;b&gt;o&amp;f&quot;t/)
  // A file that is not well-formed XML would have failed to become a PNG.
  assert.match(await textOf(paths, 'cka-softmax-x-y.svg'), /S&lt;b&gt;o&amp;f/)
  assert.match(await textOf(paths, 'tables.md'), /S\\<b\\>o&f"t/)
})

test('a folder that cannot be made is one sentence that names it, and nothing is written', async ({
  folder,
}) => {
  const file = join(folder, 'occupied')
  await writeFile(file, 'a file')
  for (const target of [file, join(file, 'run')]) {
    let message = ''
    await renderReport(sampleStudyResult(), target, () => {}).catch((error: Error) => {
      message = error.message
    })
    assert.ok(
      message.startsWith(`The folder ${target} for the report cannot be written to: `),
      message,
    )
    assert.not.match(message, /\n/)
  }
  assert.equal(await readdir(folder), ['occupied'])
  assert.is(await readFile(file, 'utf8'), 'a file')
})

test('an inconsistent result is refused before a folder is made', async ({ folder }) => {
  const target = join(folder, 'run')
  const refused = async (change: (result: ReturnType<typeof sampleStudyResult>) => void) => {
    const result = sampleStudyResult()
    change(result)
    let message = ''
    await renderReport(result, target, () => {}).catch((error: Error) => {
      message = error.message
    })
    return message
  }
  assert.match(await refused((r) => r.cka[0]!.matrix.pop()), /16 rows of 17 columns, expected 17/)
  assert.match(
    await refused((r) => {
      r.cka[0]!.b = 'sigmoid'
    }),
    /"sigmoid", expected one of the objectives softmax, squared-error/,
  )
  assert.match(await refused((r) => r.objectives.push(r.objectives[0]!)), /"softmax" twice/)
  assert.match(await refused((r) => r.objectives.splice(0)), /objectives is empty/)
  assert.equal(await readdir(folder), [])
})

test.run()
