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

const ENROLL_PROBLEMS = [
  'unknown',
  'used',
  'ended',
  'malformed',
  'rate-limited',
  'read-only',
] as const
export type EnrollProblem = (typeof ENROLL_PROBLEMS)[number]

/** The texts of the enrolment page. `{device}` and the like are placeholders. */
export interface EnrollTexts {
  readonly title: string
  readonly askForCode: string
  readonly code: string
  readonly codeHint: string
  readonly continue: string
  readonly looking: string
  readonly offline: string
  readonly again: string
  /** `{device}` */
  readonly invitedTitle: string
  /** `{device}`, `{site}` */
  readonly invited: string
  readonly owner: string
  readonly until: string
  readonly claim: string
  readonly claimHint: string
  /** `{device}` */
  readonly already: string
  readonly openInSafari: string
  readonly openInBrowser: string
  readonly safariButton: string
  readonly copyLink: string
  readonly copied: string
  /** `{device}` */
  readonly claimedTitle: string
  readonly inNow: string
  readonly notInNow: string
  readonly refusedCertificate: string
  readonly password: string
  readonly showPassword: string
  readonly copyPassword: string
  readonly keepHint: string
  readonly downloadProfile: string
  readonly downloadCertificate: string
  readonly saveFile: string
  readonly modernCertificate: string
  readonly openApp: string
  readonly open: string
  readonly otherDevices: string
  readonly guides: Readonly<Record<GuideName, Guide>>
  readonly troubleTitle: string
  readonly trouble: readonly string[]
  /** `{time}` in `used`. */
  readonly problems: Readonly<Record<EnrollProblem, RefusalText>>
}

/** All texts that a person sees in the browser, in one language. */
export interface Texts {
  readonly refusals: Readonly<Record<RefusalKind, RefusalText>>
  /** `{day}` */
  readonly expiredOn: string
  readonly tryAgain: string
  readonly startPage: string
  readonly latecomer: { readonly title: string; readonly lead: string }
  readonly haveYouBeenInvited: string
  readonly reset: { readonly title: string; readonly lead: string; readonly withoutScript: string }
  readonly enroll: EnrollTexts
}
