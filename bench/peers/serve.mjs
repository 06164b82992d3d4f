// A worker's side of the protocol: one JSON object a line on stdin and stdout.
//   {"prepare": case} -> {"check": number}   builds the case, runs it once, sums its result's squares
//   {"time": true}    -> {"ms": number}      runs it once
//   {"release": true} -> {}
// An answer {"reason": text} says what the engine can't do.
import { createInterface } from 'node:readline'

/** @param prepare case -> { run(): Promise<void>, check(): Promise<number>, release() } */
export async function serve(prepare) {
  // Engines log to stdout; only answers may go there.
  const answer = (object) => process.stdout.write(`${JSON.stringify(object)}\n`)
  console.log = console.info = console.debug = console.error
  let current
  const requests = {
    async prepare(one) {
      current = await prepare(one)
      await current.run()
      return { check: await current.check() }
    },
    async time() {
      const start = performance.now()
      await current.run()
      return { ms: performance.now() - start }
    },
    async release() {
      await current?.release()
      current = undefined
      return {}
    },
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const [[request, argument]] = Object.entries(JSON.parse(line))
    try {
      answer(await requests[request](argument))
    } catch (error) {
      answer({
        reason: String(error?.message ?? error)
          .split('\n')[0]
          .slice(0, 200),
      })
    }
  }
  process.exit(0)
}
