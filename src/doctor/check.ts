import type { Facts } from './facts.ts'
import type { Asked, Probe } from './probe.ts'

/** What a check is about, in the order of a run. */
export const GROUPS = {
  door: 'the door itself',
  handshake: 'asking for a certificate',
  closed: 'nothing shown',
  entry: 'certificate and session',
  forged: 'what a client makes up',
  paths: 'paths and rules',
  transport: 'HTTP/3 and caches',
  'own-pages': "certlatch's own pages",
  'home-assistant': 'Home Assistant, and what lies beside the gate',
  operation: 'the service and its files',
} as const
export type Group = keyof typeof GROUPS

/** What has to be so before a check says anything. */
export const NEEDS = {
  here: 'no data directory of certlatch is here',
  service: 'the service was not asked',
  'let-in': 'the certificate is not let in',
  session: 'no session has arrived',
  closed: 'the door is open to all who come from here',
  'home-assistant': 'the application does not look like Home Assistant',
  application: '--application was not given',
  'own-device': "the certificate is not doctor's own",
  'open-rules': 'no rule opens a path without a certificate',
  'network-rules': "no rule goes by the client's network",
} as const
export type Need = keyof typeof NEEDS

/** Something that should be another way. */
export interface Finding {
  /** `unseen`: it cannot be told from here. */
  readonly level: 'failed' | 'warning' | 'unseen'
  /** What is so, as a clause. */
  readonly text: string
  /** What to change, in the proxy's own words. */
  readonly hint?: string | undefined
}

/** One thing that has to be so: data, and two functions of what is known. */
export interface Check {
  /** For `--only`. */
  readonly name: string
  readonly group: Group
  /** What is so where nothing is found, as a clause. */
  readonly title: string
  /** Why it matters, for the documents. */
  readonly reason: string
  readonly needs: readonly Need[]
  /** What to try at the door. */
  plan(facts: Facts): readonly Probe[]
  /** What is wrong with what came of it; nothing: all is well. */
  judge(facts: Facts, asked: readonly Asked[]): readonly Finding[]
}

export const failed = (text: string, hint?: string): Finding => ({ level: 'failed', text, hint })
export const warning = (text: string, hint?: string): Finding => ({ level: 'warning', text, hint })
export const unseen = (text: string): Finding => ({ level: 'unseen', text })
