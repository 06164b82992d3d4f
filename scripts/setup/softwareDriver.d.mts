import type { AptSource } from './aptSources.mjs'

export type DriverPlan = { apt: string[]; stanza: string } | { advice: string }
export function parseOsRelease(text: string): Record<string, string>
export function driverPlan(osRelease: Record<string, string>, aptSources: AptSource[]): DriverPlan
export function manualCommands(plan: { apt: string[]; stanza: string }): string[]
export function adviceFor(platform: string): string
