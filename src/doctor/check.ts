import type { Facts } from './facts.ts'
import type { Asked, Probe } from './probe.ts'

/** The groups of checks, in the order of a run. */
export const GROUPS = {
  connection: 'name, TLS and clock',
  handshake: 'the certificate request',
  closed: 'without credentials',
  access: 'certificate and session',
  forged: 'forged headers',
  paths: 'paths and rules',
  transport: 'HTTP/3 and caches',
  'own-pages': "certlatch's own pages",
  'home-assistant': 'Home Assistant, and bypassing the gate',
  operation: 'the service and its files',
} as const
export type Group = keyof typeof GROUPS

/** What a check needs before it can be tried, and why it was not. */
export const NEEDS = {
  here: 'there is no certlatch data directory here',
  service: 'the service was not contacted',
  access: 'the certificate is not accepted',
  session: 'no session was received',
  closed: 'requests from here are allowed without credentials',
  'home-assistant': 'the application does not look like Home Assistant',
  application: '--application was not given',
  'own-device': "the certificate is not doctor's own",
  'open-rules': 'no rule opens a path without a certificate',
  'network-rules': "no rule depends on the client's network",
} as const
export type Need = keyof typeof NEEDS

/** A problem that was found. */
export interface Finding {
  /** `unseen`: it cannot be determined from here. */
  readonly level: 'failed' | 'warning' | 'unseen'
  /** The problem, as a clause. */
  readonly text: string
  /** What to change, in the proxy's own words. */
  readonly hint?: string | undefined
}

/** One requirement: data, and functions of what is known. */
export interface Check {
  /** For `--only`. */
  readonly name: string
  readonly group: Group
  /** What is true if there are no findings, as a clause. */
  readonly title: string
  /** Why it matters, for the documents. */
  readonly reason: string
  readonly needs: readonly Need[]
  /** The probes to send. */
  plan(facts: Facts): readonly Probe[]
  /** The problems in the results; empty if all is well. */
  judge(facts: Facts, asked: readonly Asked[]): readonly Finding[]
  /** Text to add to the title if all is well. */
  detail?(facts: Facts, asked: readonly Asked[]): string | undefined
}

export const failed = (text: string, hint?: string): Finding => ({ level: 'failed', text, hint })
export const warning = (text: string, hint?: string): Finding => ({ level: 'warning', text, hint })
export const unseen = (text: string): Finding => ({ level: 'unseen', text })
