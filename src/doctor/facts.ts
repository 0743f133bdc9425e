import type { Config } from '../config/config.ts'
import type { DenyReason } from '../decision.ts'
import type { Policy } from '../policy/policy.ts'
import type { DialectName } from '../proxy/dialects.ts'
import type { RunningService } from '../store/service-state-files.ts'
import type { Observation } from './probe.ts'
import type { Target } from './target.ts'

/** Why certlatch refuses the certificate, according to its files. */
export interface Denial {
  readonly reason: DenyReason
  readonly rule: string
  /** What to do about it. */
  readonly advice: string | undefined
}

/** The part of the service's `/status` that matters here; times in Unix seconds. */
export interface ServiceStatus {
  readonly version: string
  readonly ready: boolean
  readonly checks: readonly {
    readonly name: string
    readonly ok: boolean
    readonly detail: string
  }[]
  readonly keySet: string
  readonly authorities: readonly { readonly name: string; readonly notAfter: number }[]
  readonly revocationLists: readonly { readonly authority: string; readonly nextUpdate: number }[]
}

/** What is known when there is a data directory. */
export interface Here {
  readonly config: Config
  readonly policy: Policy
  /** The CAs of `ca.crt`; `comparable` as in a DistinguishedName. */
  readonly authorities: readonly { readonly name: string; readonly comparable: string }[]
  /** The fingerprint of the session keys in the files. */
  readonly keySet: string
  /** The version of this command. */
  readonly version: string
  /** `undefined` if it could not be contacted, for the reason in `serviceProblem`. */
  readonly service: ServiceStatus | undefined
  readonly serviceProblem: { readonly problem: string; readonly hint: string } | undefined
  readonly running: readonly RunningService[]
  /** Whether the files allow this request without credentials, from an unknown address. */
  isOpen(method: string, path: string): boolean
  /** Why the files deny a GET of `/` with the certificate; `undefined` if they allow it. */
  certificateDenial(): Denial | undefined
}

/** Everything that the checks depend on; early results are passed to later checks. */
export interface Facts {
  readonly target: Target
  /** `undefined`: certlatch's files are somewhere else. */
  readonly here: Here | undefined
  /** Why the target's name does not resolve, as a clause; `undefined` if it does. */
  readonly addressProblem: string | undefined
  /** Unix seconds. */
  readonly nowSeconds: number
  readonly cookieName: string
  /** The certificate that is presented, in DER. */
  readonly certificate: Buffer
  /** A path that no rule makes public. */
  readonly closedPath: string
  /** A path that does not exist, different in each run. */
  readonly nowhere: string
  /** The first answers: without credentials, and with the certificate. */
  readonly first: {
    readonly nothing: Observation
    readonly certificate: Observation
    /** The answer for `/manifest.json`, by which Home Assistant is recognized. */
    readonly manifest: Observation
    /** Seconds on the clock here when `nothing` was answered. */
    readonly atSeconds: number
  }
  /** Whether the certificate was accepted. */
  readonly hasAccess: boolean
  readonly hasSession: boolean
  readonly isHomeAssistant: boolean
  /** Which proxy the answers look like; `undefined`: an unknown one. */
  readonly looks: DialectName | undefined
  /** Whether `certlatch doctor` created the certificate for itself. */
  readonly isOwnDevice: boolean
  /** Milliseconds until the revoked certificate was refused; `undefined`: not tried, or never. */
  readonly revokedAfterMilliseconds: number | undefined
}

/** The proxy that hints are about: the recognized one, otherwise that of CERTLATCH_PROXY. */
export const proxyOf = ({ looks, here }: Facts): DialectName | undefined =>
  looks ?? here?.config.dialect.name
