export interface AptSource {
  uris: string[]
  suites: string[]
  components: string[]
  /** Path, fingerprint or, over several lines, the key itself, as the entry gives it. */
  signedBy?: string | undefined
}
export function parseOneLineSources(text: string): AptSource[]
export function parseDeb822Sources(text: string): AptSource[]
export function readAptSources(aptFolder?: string): AptSource[]
export function backportsStanza(sources: AptSource[], codename: string): string | null
