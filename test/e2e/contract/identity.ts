import assert from 'node:assert/strict'
import type { DialectName } from '../../../src/proxy/dialects.ts'
import { type HeaderLine, valuesOf } from '../support/backend.ts'
import { IDENTITIES } from '../support/pki.ts'
import { assertOpen, assertRefused, type Case, proxyOf, userSeen } from './case.ts'

/** Other spellings of `Remote-User`, and whether a request with them is still allowed. */
const ALIASES: readonly (readonly [name: string, opens: (proxy: DialectName) => boolean])[] = [
  ['Remote_User', () => true],
  ['remote.user', () => true],
  // Caddy hands this one on: certlatch refuses it.
  ['Remote~User', (proxy) => proxy !== 'caddy'],
]

export const IDENTITY: readonly Case[] = [
  {
    name: "the application learns the user, whatever a client's own Remote-User says (Caddy CVE-2026-30851 GHSA-7r4p-vjf4-gxv4)",
    run: async (gate, protocol) => {
      const forged: readonly HeaderLine[] = [
        ['Remote-User', 'forged'],
        ['REMOTE-USER', 'forged again'],
        ['X-Certlatch-Device', 'forged'],
        ['X-Certlatch-Via', 'forged'],
      ]
      for (const name of ['ada', 'grace'] as const) {
        const cookie = await gate.session(name)
        for (const shown of [{ credential: name }, { cookie }] as const) {
          for (const headers of [[], forged]) {
            const answer = await gate.send({ protocol, ...shown, headers })
            assertOpen(answer)
            assert.deepEqual(userSeen(answer), [IDENTITIES[name]], 'the user')
            const via = valuesOf(answer.seen.headers, 'x-certlatch-via')
            assert.deepEqual(via, ['cookie' in shown ? 'session' : 'certificate'])
            const device = valuesOf(answer.seen.headers, 'x-certlatch-device')
            assert.equal(device.length, 1, 'the device is named once')
            assert.deepEqual(
              Buffer.from(device[0] ?? '', 'latin1').toString('utf8'),
              IDENTITIES[name],
              'the device',
            )
          }
        }
      }
    },
  },
  ...ALIASES.map(
    ([alias, opens]): Case => ({
      name: `${alias} of a client has no effect (Traefik CVE-2026-54763 CVE-2026-88011, Caddy CVE-2026-52845, oauth2-proxy CVE-2025-64484)`,
      run: async (gate, protocol) => {
        const cookie = await gate.session('ada')
        const headers: readonly HeaderLine[] = [[alias, 'forged']]
        const answer = await gate.send({ protocol, cookie, headers })
        if (!opens(proxyOf(gate))) return assertRefused(answer)
        assertOpen(answer)
        const alike = answer.seen.headers.filter(
          ([name]) => name.toLowerCase().replace(/[^a-z]/g, '') === 'remoteuser',
        )
        assert.equal(alike.length, 1, 'one header of that name, however it is spelled')
        assert.deepEqual(userSeen(answer), [IDENTITIES.ada], 'the user')
      },
    }),
  ),
]
