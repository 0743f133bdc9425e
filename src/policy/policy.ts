/** What a rule asks for, from the most to the least generous. */
export type Access = 'open' | 'certificate-or-session' | 'certificate' | 'deny'

export interface Rule {
  readonly name: string
  readonly access: Access
}

export interface Policy {
  /** What holds where no other rule does. */
  readonly defaultRule: Rule
  /** Lower case; other sites whose pages may act here. */
  readonly allowedOrigins: ReadonlySet<string>
}

/** Everything needs a certificate or a session, and no other site may act. */
export const CLOSED_POLICY: Policy = {
  defaultRule: { name: 'default', access: 'certificate-or-session' },
  allowedOrigins: new Set(),
}
