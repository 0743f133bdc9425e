import type { Config } from '../config/config.ts'
import type { DenyReason } from '../decision.ts'
import type { Policy } from '../policy/policy.ts'
import type { DialectName } from '../proxy/dialects.ts'
import type { RunningService } from '../store/service-state-files.ts'
import type { Door } from './door.ts'
import type { Observation, Shown } from './probe.ts'

/** What certlatch would answer, by its files. */
export interface Expected {
  readonly allow: boolean
  readonly reason: DenyReason | undefined
  readonly rule: string
  /** What would change a refusal. */
  readonly advice: string | undefined
}

/** A request for `explain`, from an unknown address. */
interface Described {
  readonly method: string
  readonly path: string
  readonly shown: Exclude<Shown, 'cookie'>
}

/** What `/status` of the service says, as far as it matters here; times in Unix seconds. */
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

/** What is known beside a data directory. */
export interface Here {
  readonly config: Config
  readonly policy: Policy
  /** The CAs of `ca.crt`; `comparable` as in a DistinguishedName. */
  readonly authorities: readonly { readonly name: string; readonly comparable: string }[]
  /** The fingerprint of the session keys in the files. */
  readonly keySet: string
  /** The version of this command. */
  readonly version: string
  /** `undefined` where it could not be asked, for the reason in `serviceProblem`. */
  readonly service: ServiceStatus | undefined
  readonly serviceProblem: string | undefined
  readonly running: readonly RunningService[]
  explain(request: Described): Expected
}

/** Everything that the checks go by; what is found out first is told to those that follow. */
export interface Facts {
  readonly door: Door
  /** `undefined`: certlatch's files are somewhere else. */
  readonly here: Here | undefined
  /** The door's; none: they could not be looked up, because of the problem. */
  readonly addresses: readonly string[]
  readonly addressProblem: string | undefined
  /** Unix seconds. */
  readonly nowSeconds: number
  readonly cookieName: string
  /** The certificate that is shown, in DER. */
  readonly certificate: Buffer
  /** A path that no rule opens without a certificate. */
  readonly closedPath: string
  /** Unlike any path that is there, and another one in each run. */
  readonly nowhere: string
  /** The first answers: nothing shown, and the certificate. */
  readonly first: {
    readonly nothing: Observation
    readonly certificate: Observation
    /** The answer for `/manifest.json`, by which Home Assistant is known. */
    readonly manifest: Observation
    /** Seconds on the clock here when `nothing` was answered. */
    readonly atSeconds: number
  }
  readonly isLetIn: boolean
  readonly hasSession: boolean
  readonly isHomeAssistant: boolean
  /** Which proxy the answers look like; `undefined`: one that is not known. */
  readonly looks: DialectName | undefined
  /** What is missing is not tried; `true` where there is something. */
  readonly hasOpenRules: boolean
  readonly hasNetworkRules: boolean
  /** Whether the certificate is one that `certlatch doctor` has made for itself. */
  readonly isOwnDevice: boolean
  /** Milliseconds until the revoked certificate was refused; `undefined`: not tried, or never. */
  readonly revokedAfterMilliseconds: number | undefined
}

/** The proxy that hints speak of: the one that is there, else that of CERTLATCH_PROXY. */
export const proxyOf = ({ looks, here }: Facts): DialectName | undefined => {
  const configured = here?.config.dialect.name
  // Caddy and HAProxy speak one dialect; only what they look like tells them apart.
  return looks ?? configured
}
