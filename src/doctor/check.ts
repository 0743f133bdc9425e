import { isFromApplication } from './answers.ts'
import type { Facts } from './facts.ts'
import { allowedAddress, openPaths } from './open-rules.ts'
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

/** What a check may need before it can be tried; the clause says why it is not tried otherwise. */
const NEEDS = {
  here: [({ here }) => here !== undefined, 'there is no certlatch data directory here'],
  service: [({ here }) => here?.service !== undefined, 'the service was not contacted'],
  access: [({ hasAccess }) => hasAccess, 'the certificate is not accepted'],
  session: [({ hasSession }) => hasSession, 'no session was received'],
  closed: [
    ({ first }) => !isFromApplication(first.nothing),
    'requests from here are allowed without credentials',
  ],
  'home-assistant': [
    ({ isHomeAssistant }) => isHomeAssistant,
    'the application does not look like Home Assistant',
  ],
  application: [({ target }) => target.application !== undefined, '--application was not given'],
  'own-device': [({ isOwnDevice }) => isOwnDevice, "the certificate is not doctor's own"],
  'open-rules': [(facts) => openPaths(facts).length > 0, 'no rule makes a path public'],
  'network-rules': [
    (facts) => allowedAddress(facts) !== undefined,
    "no rule depends on the client's network",
  ],
} as const satisfies Readonly<
  Record<string, readonly [isMet: (facts: Facts) => boolean, otherwise: string]>
>

/** The first need of the check that is not met, as a clause; `undefined` if it can be tried. */
export const unmetNeed = ({ needs = [] }: Check, facts: Facts): string | undefined =>
  needs.map((need) => NEEDS[need]).find(([isMet]) => !isMet(facts))?.[1]

/** A problem that was found. */
export interface Finding {
  readonly level: 'failed' | 'warning'
  /** The problem, as a clause. */
  readonly text: string
  /** What to change, in the proxy's own words. */
  readonly hint?: string | undefined
}

/** Whether there is a problem cannot be determined from here; the text says why, as a clause. */
export interface Unseen {
  readonly level: 'unseen'
  readonly text: string
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
  readonly needs?: readonly (keyof typeof NEEDS)[]
  /** The probes to send; without it the facts are enough. */
  plan?(facts: Facts): readonly Probe[]
  /** The problems in the results, if there are any. */
  judge(facts: Facts, asked: readonly Asked[]): Unseen | Finding | readonly Finding[] | undefined
  /** Text to add to the title if all is well. */
  detail?(facts: Facts, asked: readonly Asked[]): string | undefined
}

export const failed = (text: string, hint?: string): Finding => ({ level: 'failed', text, hint })
export const warning = (text: string, hint?: string): Finding => ({ level: 'warning', text, hint })
export const unseen = (text: string): Unseen => ({ level: 'unseen', text })
