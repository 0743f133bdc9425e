import assert from 'node:assert/strict'
import { DIALECTS } from '../../../src/proxy/dialects.ts'
import type { HeaderLine } from '../support/backend.ts'
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
  '/.certlatch/auth/../../metrics',
  '/.certlatch/auth/..%2f..%2fstatus',
  '/.certlatch/auth//../../verify',
  '/.certlatch//auth/../../verify',
  '/.certlatch/auth/enroll/../../../verify',
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

const SESSION_PAGE = '/.certlatch/auth/session'

export const PAGE_REQUESTS: readonly Case[] = [
  {
    name: "certlatch's own pages pass the gate, with and without credentials",
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
            assert.deepEqual(answer.questions, [], 'no question was asked')
            assert.deepEqual(sessionLines(answer), [], 'no session is set')
            if (method === 'GET') assert.match(answer.body, content)
            assert.deepEqual(answer.headers['cache-control'], ['no-store'])
          }
        }
      }
      assert.equal(await refusals(), before, 'no one was refused')
    },
  },
  {
    name: 'any other method on a page goes to certlatch as well, and is not allowed',
    run: async (gate, protocol) => {
      const body = Buffer.from('x')
      for (const path of Object.keys(PAGES)) {
        for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
          // Node sends a body over HTTP/2 with these two only.
          const carries = method === 'POST' || method === 'PUT'
          const answer = await gate.send({ protocol, path, method, ...(carries && { body }) })
          assert.equal(answer.status, 405, `${method}: expected 405, got ${answer.status}`)
          assert.equal(answer.seen, undefined, 'the application saw nothing of it')
        }
      }
    },
  },
  {
    name: 'a judged page is judged by the certificate that the proxy saw, and creates a session',
    run: async (gate, protocol) => {
      assertRefused(await gate.send({ protocol, path: SESSION_PAGE }))
      const opened = await gate.send({ protocol, path: SESSION_PAGE, credential: 'ada' })
      assert.equal(opened.status, 204, `expected 204, got ${opened.status}`)
      assert.equal(sessionLines(opened).length, 1, 'a session is set')
      const cookie = await gate.session('ada')
      assert.equal((await gate.send({ protocol, path: SESSION_PAGE, cookie })).status, 204)
      for (const credential of BAD) {
        assertRefused(await gate.send({ protocol, path: SESSION_PAGE, credential, cookie }))
      }
    },
  },
  {
    name: "a page is requested without a client's certificate headers and login",
    run: async (gate, protocol) => {
      const { certificateHeader } = DIALECTS[proxyOf(gate)]
      const headers: readonly HeaderLine[] = [
        ...forgedHeaders(gate),
        ['Authorization', 'Bearer of-the-application'],
      ]
      for (const path of [...Object.keys(PAGES), SESSION_PAGE]) {
        const answer = await gate.send({ protocol, path, headers })
        assert.equal(answer.status, path === SESSION_PAGE ? 403 : 200)
        assert.deepEqual(sessionLines(answer), [], 'no session is set')
        assert.equal(answer.visits.length, 1, 'certlatch was asked for it')
        const sent = answer.visits.flatMap((visit) => visit.headers)
        const kept = sent.filter(([name, value]) => {
          const isCertificate = name.toLowerCase() === certificateHeader
          return isCertificate && value.length > 10
        })
        assert.deepEqual(kept, [], 'no certificate goes with it')
        const logins = sent.filter(([name]) => name.toLowerCase() === 'authorization')
        assert.deepEqual(logins, [], 'no login goes with it')
      }
    },
  },
  {
    name: 'no detour through a page, with a forged certificate, yields a session (Traefik CVE-2026-40912 GHSA-6jwx-7vp4-9847)',
    run: async (gate, protocol) => {
      for (const path of DETOURS) {
        for (const method of ['GET', 'HEAD', 'POST']) {
          const answer = await gate.send({ protocol, path, method, headers: forgedHeaders(gate) })
          assert.deepEqual(sessionLines(answer), [], `${path}: no session is set`)
          assert.equal(answer.headers['remote-user'], undefined, `${path}: no one is named`)
          assert.equal(answer.seen, undefined, `${path}: the application saw nothing of it`)
        }
      }
    },
  },
]
