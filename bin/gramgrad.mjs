#!/usr/bin/env node
import { existsSync } from 'node:fs'

const cli = new URL('../dist/cli.mjs', import.meta.url)
if (existsSync(cli)) await import(cli.href)
else {
  console.error('gramgrad is not built: dist/cli.mjs is missing; `npm run setup` makes it.')
  process.exitCode = 1
}
