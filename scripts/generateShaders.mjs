// Reads every shader under shaders/, links it with WESL, reflects its bindings and uniform struct,
// and writes src/gpu/generated/kernels.ts, from which TypeScript types every kernel call.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const shaderRoot = path.join(root, 'shaders')
const outFile = path.join(root, 'src/gpu/generated/kernels.ts')

/** Scalar type of an array element: `vec4f` -> `f32`; an image's is `image`. */
function scalarOf(type) {
  if (type.name === 'texture_storage_2d' && type.format.name === 'rgba32float') return 'image'
  const name = type.format?.name ?? type.name
  const element = type.format?.format?.name ?? name
  const short = /^vec[234]([fui])$/.exec(name)
  if (short) return { f: 'f32', u: 'u32', i: 'i32' }[short[1]]
  if (['f32', 'u32', 'i32'].includes(name)) return name
  if (['f32', 'u32', 'i32'].includes(element)) return element
  throw new Error(`storage element type ${name} is neither f32, u32, i32 nor a vector of them`)
}

/** Names that a module and all it imports take from WESL's `constants` and `@if` conditions. */
function specialisation(sources, file, seen = new Set()) {
  if (seen.has(file)) return { constants: [], conditions: [] }
  seen.add(file)
  const text = sources[file].replace(/\/\/.*$/gm, '')
  // WESL takes what follows such an @else whenever the first condition is false.
  if (/@else\s+@if/.test(text)) throw new Error(`${file}: write @elif instead of @else @if`)
  const constants = []
  for (const [, list] of text.matchAll(/import\s+constants::(\{[^}]*\}|\w+)\s*;/g))
    constants.push(
      ...list
        .replace(/[{}\s]/g, '')
        .split(',')
        .filter(Boolean),
    )
  const conditions = []
  for (const [, expression] of text.matchAll(/@(?:if|elif)\(([^)]*)\)/g))
    conditions.push(...(expression.match(/\w+/g) ?? []))
  for (const [, module] of text.matchAll(/import\s+package::([\w:]+?)::(?:\w+|\{[^}]*\})\s*;/g)) {
    const inner = specialisation(sources, `${module.replaceAll('::', '/')}.wesl`, seen)
    constants.push(...inner.constants)
    conditions.push(...inner.conditions)
  }
  return { constants: [...new Set(constants)].sort(), conditions: [...new Set(conditions)].sort() }
}

/** Bindings and uniform fields of one kernel, as linked where `holds` says which conditions do. */
async function reflect(sources, file, { constants, conditions }, holds) {
  const { link } = await import('wesl/core')
  const { WgslReflect } = await import('wgsl_reflect/wgsl_reflect.module.js')
  const linked = await link({
    weslSrc: sources,
    rootModuleName: file.replace(/\.wesl$/, ''),
    constants: Object.fromEntries(constants.map((name) => [name, 8])),
    conditions: Object.fromEntries(conditions.map((name) => [name, holds(name)])),
  })
  const reflection = new WgslReflect(linked.dest)
  if (!reflection.entry.compute.some((entry) => entry.name === 'main'))
    throw new Error(`${file} has no compute entry point named main`)
  const bindings = {}
  const params = {}
  let paramsSize = 0
  // Linking may place a binding that comes from an imported module anywhere.
  const storage = reflection.storage.sort((a, b) => a.binding - b.binding)
  for (const variable of [...reflection.uniforms, ...storage]) {
    if (variable.group !== 0) throw new Error(`${file}: ${variable.name} is outside group 0`)
    if (variable.access === 'read' && reflection.uniforms.includes(variable)) {
      if (variable.name !== 'params' || variable.binding !== 0)
        throw new Error(`${file}: the uniform must be @binding(0) var<uniform> params`)
      for (const member of variable.type.members)
        params[member.name] = { offset: member.offset, type: member.type.name }
      paramsSize = Math.ceil(variable.size / 16) * 16
    } else {
      bindings[variable.name] = {
        binding: variable.binding,
        access: variable.access,
        type: scalarOf(variable.type),
      }
    }
  }
  return { bindings, params, paramsSize }
}

async function readSources() {
  const sources = {}
  for (const entry of await readdir(shaderRoot, { recursive: true }))
    if (entry.endsWith('.wesl'))
      sources[entry.replaceAll('\\', '/')] = await readFile(path.join(shaderRoot, entry), 'utf8')
  return Object.fromEntries(Object.entries(sources).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Writes src/gpu/generated/kernels.ts; does nothing when it is already what the shaders say. */
export async function generateShaders() {
  const sources = await readSources()
  const kernels = {}
  for (const file of Object.keys(sources)) {
    if (file.startsWith('lib/')) continue
    const names = specialisation(sources, file)
    const plain = await reflect(sources, file, names, () => false)
    const conditioned = await reflect(sources, file, names, () => true)
    for (const name of names.conditions.filter((name) => name.endsWith('_IMAGE'))) {
      const { bindings } = await reflect(sources, file, names, (condition) => condition === name)
      for (const [array, { type }] of Object.entries(bindings))
        if (type === 'image' && plain.bindings[array].type === 'f32') {
          plain.bindings[array].imageWith = name
          // Binding and access must still be the same.
          Object.assign(conditioned.bindings[array], { type: 'f32', imageWith: name })
        }
    }
    if (JSON.stringify(plain) !== JSON.stringify(conditioned))
      throw new Error(`${file}: bindings differ between its conditions`)
    kernels[file.replace(/\.wesl$/, '').replaceAll('/', '_')] = { source: file, ...plain, ...names }
  }
  const text = `// Generated from shaders/ by scripts/generateShaders.mjs: do not edit.
import type { KernelInfo } from '../kernelInfo.ts'

export const shaderSources: Readonly<Record<string, string>> = ${JSON.stringify(sources, null, 2)}

export const kernels = ${JSON.stringify(kernels, null, 2)} as const satisfies Record<string, KernelInfo>
`
  const before = await readFile(outFile, 'utf8').catch(() => '')
  if (before === text) return
  await mkdir(path.dirname(outFile), { recursive: true })
  await writeFile(outFile, text)
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await generateShaders().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
