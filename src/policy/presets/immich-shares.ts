import type { Preset } from '../policy.ts'

/**
 * What the recipient of a shared link needs. Facts are from Immich's source: `@Authenticated` of each
 * controller, and the list of what a shared link reaches in its test of the controllers.
 *
 * Deliberately not allowed: uploads by a link (`POST /api/assets`), search, `/api/auth/*`, and pages of
 * custom addresses, `/s/*`, whose last word the user chose and others can guess. The views below accept
 * that word instead of the key (`slug` in the query), which no rule sees: docs/policy.md warns of it.
 */
export const IMMICH_SHARES: Preset = {
  name: 'immich-shares',
  needsHost: true,
  rules: [
    // The page is the same for every key; the key in its path is 50 random bytes.
    {
      name: 'page',
      path: ['/share/*', '/_app/*'],
      methods: ['GET', 'HEAD'],
      access: 'open',
    },
    // What the page requests before it shows anything: settings of the page, no names and no
    // pictures. Immich requires no login there.
    {
      name: 'settings',
      path: ['/api/server/config', '/api/server/features'],
      methods: ['GET', 'HEAD'],
      access: 'open',
    },
    // Each of these views requires a login or the link's key, and with the key returns only what
    // the link shares. The key is in the query, so the rule cannot check it.
    {
      name: 'pictures',
      path: ['/api/shared-links/me', '/api/assets/*', '/api/albums/*', '/api/timeline/*'],
      methods: ['GET', 'HEAD'],
      access: 'open',
    },
    // The password of a link that has one, and its download as an archive; with the key, as above.
    {
      name: 'password and download',
      path: ['/api/shared-links/login', '/api/download/info', '/api/download/archive'],
      methods: ['POST'],
      access: 'open',
    },
  ],
  switches: {},
}
