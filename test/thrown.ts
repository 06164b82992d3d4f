/** The error that a call throws or its promise rejects with. */
export async function thrown(call: () => unknown): Promise<Error> {
  try {
    await call()
  } catch (error) {
    if (error instanceof Error) return error
    throw new Error(`threw ${error}, expected an Error`)
  }
  throw new Error('nothing was thrown')
}
