import { BODIES } from './bodies.ts'
import type { Case } from './case.ts'
import { COOKIES } from './cookies.ts'
import { ENDINGS } from './endings.ts'
import { FORGERIES } from './forgeries.ts'
import { HANDSHAKE } from './handshake.ts'
import { HOSTILE_REQUESTS } from './hostile-requests.ts'
import { IDENTITY } from './identity.ts'
import { OUTAGES } from './outages.ts'
import { PAGE_REQUESTS } from './pages.ts'
import { RULES } from './rules.ts'

export const CASES: readonly Case[] = [
  ...RULES,
  ...COOKIES,
  ...IDENTITY,
  ...FORGERIES,
  ...HOSTILE_REQUESTS,
  ...HANDSHAKE,
  ...PAGE_REQUESTS,
  ...OUTAGES,
  ...BODIES,
  ...ENDINGS,
]
