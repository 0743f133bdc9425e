import type { Check } from './check.ts'
import { ACCESS_CHECKS, REVOKED_CHECK } from './checks/access.ts'
import { APPLICATION_CHECKS } from './checks/application.ts'
import { CONNECTION_CHECKS } from './checks/connection.ts'
import { FORGED_CHECKS } from './checks/forged.ts'
import { HANDSHAKE_CHECKS } from './checks/handshake.ts'
import { PAGE_CHECKS } from './checks/pages.ts'
import { PATH_CHECKS } from './checks/paths.ts'
import { SERVICE_CHECKS } from './checks/service.ts'
import { TRANSPORT_CHECKS } from './checks/transport.ts'

/** Every check, in the order of a run; the last one revokes the certificate. */
export const CHECKS: readonly Check[] = [
  ...CONNECTION_CHECKS,
  ...HANDSHAKE_CHECKS,
  ...ACCESS_CHECKS,
  ...FORGED_CHECKS,
  ...PATH_CHECKS,
  ...TRANSPORT_CHECKS,
  ...PAGE_CHECKS,
  ...APPLICATION_CHECKS,
  ...SERVICE_CHECKS,
  REVOKED_CHECK,
]
