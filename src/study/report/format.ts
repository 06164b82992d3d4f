const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** What stands in a table or a figure for a value that cannot be defined. */
export const undefinedText = 'undefined'

/** A number that can be shown; null and non-finite ones cannot. */
export function isDefined(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

export function formatFixed(value: number | null | undefined, digits: number): string {
  if (!isDefined(value)) return undefinedText
  const text = value.toFixed(digits)
  return Number(text) === 0 ? text.replace('-', '') : text
}

/** A share 0..1 as per cent, one decimal. */
export function formatPercent(share: number | null | undefined): string {
  return isDefined(share) ? `${formatFixed(share * 100, 1)} %` : undefinedText
}

/** A p-value as `p = 0.03`, `p = 0.0012` or `p < 0.0001`. */
export function formatP(p: number): string {
  return p < 1e-4 ? 'p < 0.0001' : `p = ${formatFixed(p, p < 0.01 ? 4 : 2)}`
}

/** 10000 as 10,000. */
export function formatCount(value: number): string {
  return isDefined(value) ? grouped.format(value) : undefinedText
}

/** Images a second: one decimal where it matters. */
export function formatRate(value: number): string {
  if (!isDefined(value)) return undefinedText
  return value < 100 ? value.toFixed(1) : grouped.format(value)
}

/** 4.2 as `4.2 s`, 112 as `1 min 52 s`, 7300 as `2 h 2 min`. */
export function formatSeconds(seconds: number): string {
  if (!isDefined(seconds)) return undefinedText
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** `a`, `a and b`, `a, b and c`. */
export function formatList(items: readonly string[]): string {
  if (items.length < 2) return items[0] ?? ''
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
}

/** Text for HTML content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}
