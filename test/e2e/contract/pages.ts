import assert from 'node:assert/strict'
import { DIALECTS, type DialectName } from '../../../src/proxy/dialects.ts'
import { type HeaderLine, valuesOf } from '../support/backend.ts'
import type { Gate } from '../support/gate.ts'
import {
  assertRefused,
  BAD,
  type Case,
  forgedCertificateHeaders,
  proxyOf,
  sessionLines,
} from './case.ts'

const PAGES = {
  '/.certlatch/auth/reset': /unregisterWorkers/,
  '/.certlatch/auth/rescue.js': /home-assistant/,
} as const

/** Ways from the pages to the place where a certificate header is believed. */
const DETOURS = [
  '/.certlatch/auth/..%2F..%2Fverify',
  '/.certlatch/auth/%2e%2e/%2e%2e/verify',
  '/.certlatch/auth/../../verify',
  '/.certlatch/auth/reset/../../../verify',
  '/.certlatch/auth/reset/..%2f..%2f..%2fverify',
  '/.certlatch/auth/reset/..;/..;/..;/verify',
  '/.certlatch/auth/reset%3f/../../../verify',
  '/.certlatch/auth/reset%00/../../../verify',
  '/.certlatch/auth/reset%23/../../../../verify',
  '/.certlatch/auth/rescue.js/..%5c..%5c..%5cverify',
  '/.certlatch/auth/rescue.js?/../../../verify',
  '//.certlatch/auth/reset/../../../verify',
  '/verify/../.certlatch/auth/reset',
  '/verify?/../.certlatch/auth/reset',
  '/verify%3f/../.certlatch/auth/reset',
  '/verify',
] as const

/** With every header that certlatch would go by, if a client could send it. */
const forgedHeaders = (gate: Gate): readonly HeaderLine[] => [
  ...forgedCertificateHeaders(gate.world.pki.credential('ada')),
  ['X-Forwarded-Method', 'GET'],
  ['X-Forwarded-Uri', '/'],
  ['X-Forwarded-Host', 'home.example'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Certlatch-Page', '1'],
]

/** Where the session goes along, to certlatch alone, which does not read it there. */
const MAY_SEND_SESSION: ReadonlySet<DialectName> = new Set(['traefik', 'haproxy'])

export const PAGE_REQUESTS: readonly Case[] = [
  {
    name: "certlatch's own pages pass the gate, whatever is shown or not",
    run: async (gate, protocol) => {
      const { refusals } = gate.world.certlatch
      const before = await refusals()
      for (const [path, content] of Object.entries(PAGES)) {
        const shown = [undefined, 'ada', ...BAD] as const
        for (const credential of shown) {
          for (const method of ['GET', 'HEAD']) {
            const answer = await gate.send({
              protocol,
              path,
              method,
              ...(credential && { credential }),
            })
            assert.equal(answer.status, 200, `${path}: expected 200, got ${answer.status}`)
            assert.equal(answer.seen, undefined, 'the application saw nothing of it')
            assert.deepEqual(sessionLines(answer), [], 'no session is set')
            if (method === 'GET') assert.match(answer.body, content)
            assert.deepEqual(answer.headers['cache-control'], ['no-store'])
          }
        }
      }
      assert.equal(await refusals(), before, 'nothing was decided')
    },
  },
  {
    name: 'at the address of a page any other method is a request like all others',
    run: async (gate, protocol) => {
      const body = Buffer.from('x')
      for (const path of Object.keys(PAGES)) {
        for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
          // Node sends a body over HTTP/2 with these two only.
          const carries = method === 'POST' || method === 'PUT'
          assertRefused(await gate.send({ protocol, path, method, ...(carries && { body }) }))
        }
      }
    },
  },
  {
    name: "a page is asked for without a client's certificate, secret and session headers",
    run: async (gate, protocol) => {
      const { certificateHeader } = DIALECTS[proxyOf(gate)]
      const cookie = await gate.session('ada')
      for (const path of Object.keys(PAGES)) {
        const answer = await gate.send({ protocol, path, cookie, headers: forgedHeaders(gate) })
        assert.equal(answer.status, 200)
        const kept = answer.questions.flatMap(({ headers }) =>
          headers.filter(([name]) => name.toLowerCase().startsWith(certificateHeader)),
        )
        assert.deepEqual(kept, [], 'no certificate goes with it')
        const marks = answer.questions.flatMap(({ headers }) =>
          valuesOf(headers, 'x-certlatch-page'),
        )
        assert.deepEqual(marks, [], 'no mark goes with it')
        if (MAY_SEND_SESSION.has(proxyOf(gate))) continue
        const cookies = answer.questions.flatMap(({ headers }) => valuesOf(headers, 'cookie'))
        assert.deepEqual(cookies, [], 'no session goes with it')
      }
    },
  },
  {
    name: 'no detour by a page, with a forged certificate, yields a session (Traefik CVE-2026-40912 GHSA-6jwx-7vp4-9847)',
    run: async (gate, protocol) => {
      for (const path of DETOURS) {
        for (const method of ['GET', 'HEAD', 'POST']) {
          const answer = await gate.send({ protocol, path, method, headers: forgedHeaders(gate) })
          assert.deepEqual(sessionLines(answer), [], `${path}: no session is set`)
          assert.equal(answer.headers['remote-user'], undefined, `${path}: nobody is named`)
          assert.equal(answer.seen, undefined, `${path}: the application saw nothing of it`)
        }
      }
    },
  },
]
