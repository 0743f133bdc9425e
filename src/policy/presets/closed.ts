import type { Preset } from '../policy.ts'

/** States the default explicitly: everything needs a certificate or a session. */
export const CLOSED: Preset = {
  name: 'closed',
  rules: [],
  switches: {},
}
