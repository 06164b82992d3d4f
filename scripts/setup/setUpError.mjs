/** Set-up cannot go on; the message tells the user what to do. */
export class SetUpError extends Error {}

/** Set-up speaks on stderr, so that stdout stays the program's own (`--json`). */
export const say = (message) => process.stderr.write(`set-up: ${message}\n`)

/** For the tools that set-up runs: no input, all output on our stderr. */
export const toStderr = ['ignore', 2, 2]
