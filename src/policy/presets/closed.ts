import type { Preset } from '../policy.ts'

/** No rule, said aloud: everything needs a certificate or a session. */
export const CLOSED: Preset = {
  name: 'closed',
  rules: [],
  switches: {},
}
