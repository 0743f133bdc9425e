import type { RefusalKind } from './refusal-kinds.ts'

/** The text of a refusal page. */
interface RefusalText {
  readonly title: string
  readonly lead: string
  readonly steps: readonly string[]
}

/** The steps for getting a certificate into a kind of device. */
interface Guide {
  readonly title: string
  readonly steps: readonly string[]
}

export const GUIDES = ['iphone', 'iphoneApp', 'android', 'mac', 'windows', 'linux'] as const
export type GuideName = (typeof GUIDES)[number]

/** Why an invitation cannot be collected. */
export type EnrollProblem =
  | 'unknown'
  | 'used'
  | 'ended'
  | 'malformed'
  | 'rate-limited'
  | 'read-only'

export type RefusalTexts = Readonly<Record<RefusalKind, RefusalText>>
export type GuideTexts = Readonly<Record<GuideName, Guide>>
export type ProblemTexts = Readonly<Record<EnrollProblem, RefusalText>>
