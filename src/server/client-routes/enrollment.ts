import type { Place } from '../../administration/claim-invitation.ts'
import { certificateStandingProblem } from '../../certificate/trust.ts'
import { type CertificateVerdict, verifyCertificate } from '../../certificate/verify.ts'
import { decide, type Grounds } from '../../decide.ts'
import type { Decision } from '../../decision.ts'
import { invitationId } from '../../enrollment/invitation-code.ts'
import { pagePolicy } from '../../policy/page-policy.ts'
import type { RequestHeaders } from '../../proxy/request-headers.ts'
import { dataPaths } from '../../store/data-directory.ts'
import { createInvitationIndex, type Invitation } from '../../store/invitations.ts'
import type { TrustStore } from '../../store/trust-store.ts'

export interface EnrollmentOptions {
  readonly dataDir: string
  readonly revocationList: string | undefined
  readonly trust: TrustStore
  grounds(): Grounds
}

/** Invitations for the pages, with the current files and grounds. */
export interface Enrollment {
  /** Where a request for this host looks for invitations. */
  place(host: string, nowSeconds: number): Place
  /** The name of the device whose invitation has or had this code; `undefined` if it has no entry. */
  deviceOf(code: string): string | undefined
  /**
   * The decision that the device would have got if it had presented its new certificate when it
   * collected it, with the session that the certificate would have started then.
   */
  decideAsDevice(
    invitation: Invitation,
    collectedAt: number,
    headers: RequestHeaders,
    nowSeconds: number,
  ): Decision
}

export function createEnrollment(options: EnrollmentOptions): Enrollment {
  const { dataDir, revocationList, trust } = options
  const verdictOf = ({ certificate }: Invitation): CertificateVerdict =>
    verifyCertificate(certificate.der, trust.current.trust.issuers)
  const exists = createInvitationIndex(dataPaths(dataDir).invitations)
  return {
    place: (host, nowSeconds) => ({
      dataDir,
      revocationList,
      host,
      nowSeconds,
      exists,
      isAcceptable: async (invitation) => {
        await trust.refresh()
        const verdict = verdictOf(invitation)
        if (!verdict.ok) return false
        const { verified } = verdict
        const grounds = options.grounds()
        const problem = certificateStandingProblem(verified, grounds.trust, nowSeconds)
        return problem === undefined && grounds.recognize(verified, nowSeconds).ok
      },
    }),
    deviceOf: (code) => {
      const id = invitationId(code)
      const { devices = [] } = trust.current.registry ?? {}
      return devices.find(({ certificates }) =>
        certificates.some(({ invitation }) => invitation?.id === id),
      )?.name
    },
    decideAsDevice: (invitation, collectedAt, headers, nowSeconds) => {
      const grounds = options.grounds()
      const verdict = verdictOf(invitation)
      const shown: RequestHeaders = { ...headers, cookie: undefined, certificate: '' }
      const decision = decide(
        { fromTrustedAddress: true, headers: shown },
        {
          ...grounds,
          policy: pagePolicy(grounds.policy, 'certificate'),
          verifyCertificate: () => verdict,
        },
        nowSeconds,
      )
      return asOf(decision, collectedAt, grounds)
    },
  }
}

/**
 * The decision with its session as of the collection: repeating the answer does not extend the
 * session, and a sign-out since then still ends it.
 */
function asOf(decision: Decision, collectedAt: number, grounds: Grounds): Decision {
  if (!decision.allow || decision.setSession === undefined) return decision
  const { claims, cause } = decision.setSession
  const signedOutAt = grounds.signedOutAt(decision.identity?.device ?? '')
  if (signedOutAt !== undefined && collectedAt <= signedOutAt) {
    return { ...decision, setSession: undefined }
  }
  const sessionEnd = Math.min(claims.sessionEnd, collectedAt + grounds.lifetime.maxAgeSeconds)
  const expiresAt = Math.min(claims.expiresAt, sessionEnd)
  const then = { ...claims, certificateSeenAt: collectedAt, sessionEnd, expiresAt }
  return { ...decision, setSession: { claims: then, cause } }
}
