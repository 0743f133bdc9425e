import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:https'
import { type HeaderLine, NUMBER_HEADER } from '../support/backend.ts'
import { tlsOptions } from '../support/client.ts'
import { type Gate, nextNumber, type Request } from '../support/gate.ts'
import { pause } from '../support/tools.ts'
import { assertOpen, assertRefused, type Case, HTML, ONCE } from './case.ts'

const REFUSED_IN_WORDS: readonly (readonly [Request, RegExp])[] = [
  [{}, /No certificate was shown/],
  [{ credential: 'expired' }, /The certificate of this device has expired/],
  [{ credential: 'foreign' }, /This certificate is not accepted here/],
  [{ credential: 'revoked' }, /The certificate of this device was withdrawn/],
]

export const BODIES: readonly Case[] = [
  {
    name: 'an upload of 20 MB passes',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const body = randomBytes(20_000_000)
      const answer = await gate.send({ protocol, cookie, method: 'POST', path: '/upload', body })
      assertOpen(answer)
      assert.equal(answer.body, createHash('sha256').update(body).digest('hex'), 'every byte of it')
      assert.equal(answer.seen.method, 'POST')
      assert.equal(answer.questions[0]?.headers.length !== 0, true)
    },
  },
  {
    name: 'an upload that pauses for three seconds passes, and starts before it is complete',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const number = nextNumber()
      const status = await slowUpload(gate, cookie, number, async () => {
        await pause(3_000)
        // nginx's other way would be to wait for all of it.
        assert.ok(gate.world.backend.find(number), 'upload: the application has seen its beginning')
      })
      assert.equal(status, 200, `upload: expected 200, got ${status}`)
    },
  },
  {
    name: 'a refused POST is refused, with an explanation',
    run: async (gate, protocol) => {
      const body = Buffer.from('{"turn":"on"}')
      const method = 'POST'
      assertRefused(await gate.send({ protocol, method, body }))
      // One that another site makes the browser send: as a GET it would be allowed.
      const cookie = await gate.session('ada')
      const headers: readonly HeaderLine[] = [
        ['Sec-Fetch-Site', 'cross-site'],
        ['Accept', 'text/html'],
      ]
      for (const shown of [{ cookie }, { credential: 'ada' }] as const) {
        const answer = await gate.send({ protocol, method, body, headers, ...shown })
        assertRefused(answer)
        assert.doesNotMatch(answer.body, /http-equiv="refresh"/, 'the page does not say "reload"')
      }
    },
  },
  {
    name: 'a refused page explains why in words, for a GET and for a bad certificate',
    run: async (gate, protocol) => {
      for (const [shown, words] of REFUSED_IN_WORDS) {
        const answer = await gate.send({ protocol, headers: HTML, ...shown })
        assertRefused(answer)
        assert.match(answer.body, words, "certlatch's own page")
        assert.match((answer.headers['content-security-policy'] ?? []).join(), /default-src 'none'/)
      }
    },
  },
  {
    name: 'an event stream passes, event by event',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const events = await readEvents(gate, cookie)
      assert.deepEqual(events, ['first', 'second'], 'event by event')
    },
  },
  {
    name: 'HEAD is passed as HEAD',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const answer = await gate.send({ protocol, cookie, method: 'HEAD' })
      assertOpen(answer)
      assert.equal(answer.seen.method, 'HEAD')
    },
  },
]

function slowUpload(
  gate: Gate,
  cookie: string,
  number: string,
  between: () => Promise<void>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...tlsOptions(gate.target, undefined),
      method: 'POST',
      path: '/upload',
      agent: false,
      headers: { Host: 'home.example', Cookie: cookie, [NUMBER_HEADER]: number },
    })
    outgoing.on('response', (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    outgoing.on('error', () => resolve(0))
    outgoing.write('the beginning')
    between().then(() => outgoing.end('the end'), reject)
  })
}

/** Reads the first event, only then has the second one sent, and reads that. */
function readEvents(gate: Gate, cookie: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...tlsOptions(gate.target, undefined),
      path: '/events',
      agent: false,
      headers: { Host: 'home.example', Cookie: cookie },
    })
    let text = ''
    const finish = () => {
      clearTimeout(deadline)
      outgoing.destroy()
      resolve([...text.matchAll(/data: (\w+)/g)].map(([, event]) => event ?? ''))
    }
    const deadline = setTimeout(finish, 1_500)
    outgoing.on('response', (answer) => {
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8')
        if (text.includes('second')) finish()
        else if (text.includes('first')) gate.world.backend.emit()
      })
      answer.on('error', () => undefined)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}
