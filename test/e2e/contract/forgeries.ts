import assert from 'node:assert/strict'
import { DIALECTS } from '../../../src/proxy/dialects.ts'
import { type HeaderLine, valuesOf } from '../support/backend.ts'
import { IDENTITIES } from '../support/pki.ts'
import {
  assertOpen,
  assertRefused,
  type Case,
  CERTIFICATE_HEADERS,
  FORGED_ORIGIN,
  FORGED_REQUEST,
  forgedCertificateHeaders,
  ONCE,
  proxyOf,
  told,
  userSeen,
} from './case.ts'

export const FORGERIES: readonly Case[] = [
  {
    name: 'a good certificate in a header of any proxy, sent by a client, grants no access',
    run: async (gate, protocol) => {
      const headers = forgedCertificateHeaders(gate.world.pki.credential('ada'))
      assertRefused(await gate.send({ protocol, headers }))
      for (const line of headers) {
        assertRefused(await gate.send({ protocol, headers: [line] }))
        assertRefused(await gate.send({ protocol, headers: [line, line] }))
      }
      assertRefused(await gate.send({ protocol, credential: 'revoked', headers }))
    },
  },
  {
    name: "a client's certificate headers do not reach the application, nor certlatch those of another proxy",
    run: async (gate, protocol) => {
      const headers = forgedCertificateHeaders(gate.world.pki.credential('ada'))
      const cookie = await gate.session('ada')
      const { certificateHeader } = DIALECTS[proxyOf(gate)]
      for (const credential of [undefined, 'ada'] as const) {
        const shown = { cookie, ...(credential && { credential }) }
        const answer = await gate.send({ protocol, ...shown, headers })
        assertOpen(answer)
        const kept = answer.seen.headers.filter(([name]) => CERTIFICATE_HEADERS.test(name))
        assert.deepEqual(kept, [], 'no certificate for the application')
        const asked = answer.questions.flatMap((question) => question.headers)
        const foreign = asked.filter(
          ([name]) => CERTIFICATE_HEADERS.test(name) && name.toLowerCase() !== certificateHeader,
        )
        assert.deepEqual(foreign, [], 'no foreign certificate for certlatch')
      }
    },
  },
  {
    name: 'certlatch learns which proxy sent the request, whatever a client claims, and the application does not',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const names = Object.keys(DIALECTS)
      const forged: readonly (readonly HeaderLine[])[] = [
        [],
        ...names.map((name): readonly HeaderLine[] => [['X-Certlatch-Proxy', name]]),
        names.map((name) => ['x-certlatch-proxy', name]),
        [['X_Certlatch_Proxy', 'envoy']],
        [['X-CERTLATCH-PROXY', '']],
        ...(protocol === 'HTTP/1.1' ? [[['Connection', 'X-Certlatch-Proxy, close'] as const]] : []),
      ]
      for (const headers of forged) {
        for (const shown of [{ cookie }, { credential: 'ada' }] as const) {
          const answer = await gate.send({ protocol, ...shown, headers })
          assertOpen(answer)
          const told = answer.questions.map((one) => valuesOf(one.headers, 'x-certlatch-proxy'))
          assert.deepEqual(told, [[proxyOf(gate)]], 'the name of the proxy')
          const handedOn = answer.seen.headers.filter(([name]) => /certlatch.proxy$/i.test(name))
          assert.deepEqual(handedOn, [], 'no name of the proxy for the application')
        }
      }
    },
  },
  {
    name: "a client's X-Forwarded-Method and -Uri are not trusted (oauth2-proxy CVE-2026-40575 GHSA-7x63-xv5r-3p2x)",
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const path = '/real/%63onfig?a=b'
      const request = { protocol, cookie, path, method: 'PUT', headers: FORGED_REQUEST }
      const answer = await gate.send(request)
      assertOpen(answer)
      assert.equal(told(answer, 'method'), 'PUT')
      assert.equal(told(answer, 'uri'), answer.seen.url, 'certlatch is told what is handed on')
      // Traefik decodes what needs no encoding.
      assert.match(answer.seen.url, /^\/real\/(c|%63)onfig\?a=b$/)
      assert.equal(answer.seen.method, 'PUT')
    },
  },
  {
    name: "a client's X-Forwarded-Host, -Proto and -For are not trusted",
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const answer = await gate.send({ protocol, cookie, headers: FORGED_ORIGIN })
      assertOpen(answer)
      assert.equal(told(answer, 'host'), 'home.example')
      assert.equal(told(answer, 'proto'), 'https')
      assert.equal(told(answer, 'for'), '127.0.0.1')
      const seen = (name: string) => valuesOf(answer.seen.headers, name)
      assert.deepEqual(seen('x-forwarded-for'), ['127.0.0.1'], 'the address for the application')
      assert.deepEqual(seen('x-forwarded-proto'), ['https'], 'the scheme for the application')
      assert.deepEqual(seen('x-forwarded-host'), ['home.example'], 'the host for the application')
      assert.deepEqual(seen('host'), ['home.example'], 'the host for the application')
    },
  },
  {
    name: 'X_Forwarded_Proto and X.Forwarded.Uri of a client have no effect (Traefik CVE-2026-39858 GHSA-5m6w-wvh7-57vm)',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const headers: readonly HeaderLine[] = [
        ['X_Forwarded_Proto', 'http'],
        ['X.Forwarded.Uri', '/forged'],
      ]
      const answer = await gate.send({ protocol, cookie, headers })
      assertOpen(answer)
      const odd = answer.questions[0]?.headers.filter(([name]) => /[_.]/.test(name))
      assert.deepEqual(odd, [], 'certlatch is not asked with them')
    },
  },
  {
    name: 'a Connection header cannot remove the certificate or the user (Traefik CVE-2024-45410 GHSA-62c8-mh53-4cqv)',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const names = [
        ...Object.values(DIALECTS).map(({ certificateHeader }) => certificateHeader),
        ...['Remote-User', 'X-Forwarded-Method', 'X-Forwarded-Uri', 'X-Forwarded-Host'],
      ]
      for (const name of [...names, names.join(', '), names.join(', ').toLowerCase()]) {
        const headers: readonly HeaderLine[] = [['Connection', `close, ${name}`]]
        const answer = await gate.send({ credential: 'ada', headers })
        assertOpen(answer)
        assert.deepEqual(userSeen(answer), [IDENTITIES.ada], 'the user')
        const revoked = await gate.send({ credential: 'revoked', cookie, headers })
        assertRefused(revoked)
        assertRefused(await gate.send({ headers }))
      }
    },
  },
  {
    name: 'X-Certlatch-Page and X-Certlatch-Proxy-Secret of a client have no effect',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const headers: readonly HeaderLine[] = [
        ['X-Certlatch-Page', '1'],
        ['X-Certlatch-Proxy-Secret', 'guessed-by-the-client'],
      ]
      assertOpen(await gate.send({ protocol, cookie, headers }))
      assertRefused(await gate.send({ protocol, headers }))
    },
  },
]
