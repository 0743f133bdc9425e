import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { invitationCode } from '../../src/enrollment/invitation-code.ts'
import { ENROLL_PATH } from '../../src/policy/page-policy.ts'
import { freePort } from '../support/free-port.ts'
import { loadAtRate, type TimedSlice } from './load.ts'
import { startServer } from './processes.ts'
import { headersOf } from './scene.ts'
import { requestsFile } from './target.ts'
import { CERTLATCH } from './targets.ts'

// What a device with a cookie notices while others guess invitation codes, each address within the limit of
// 60 per minute: it sends 200 auth requests per second, and each must be answered with 200.
// `node dist/test/bench/guessing.js`, about three minutes.

const PROBE_PER_SECOND = 200
const SECONDS = 10
const LEAD_IN_SECONDS = 2
/** Each address guesses once per second. */
const ADDRESSES = 2_000
const SITE = 'https://home.example.org'

const folder = await mkdtemp(join(tmpdir(), 'certlatch-guessing-'))
const [port, adminPort, pagesPort] = [await freePort(), await freePort(), await freePort()]
const settings = {
  CERTLATCH_DATA_DIR: join(folder, 'data'),
  CERTLATCH_PROXY: 'traefik',
  CERTLATCH_LOG_LEVEL: 'warn',
  CERTLATCH_LISTEN: `127.0.0.1:${port}`,
  CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
  CERTLATCH_PAGES_LISTEN: `127.0.0.1:${pagesPort}`,
  CERTLATCH_URL: SITE,
}

const addressOf = (index: number): string => `203.0.${(index >> 8) % 256}.${index % 256}`

const randomCode = (): string => invitationCode(crypto.getRandomValues(new Uint8Array(20)))

/** The headers of a browser's POST to the page, as they arrive from the proxy. */
const fieldsOf = (address: string) => ({
  'X-Forwarded-For': address,
  'X-Forwarded-Host': new URL(SITE).host,
  'X-Forwarded-Proto': 'https',
  Origin: SITE,
  'Sec-Fetch-Site': 'same-origin',
})

function guess(path: string, type: string, body: string, index: number): string {
  const headers = {
    Host: '127.0.0.1',
    ...fieldsOf(addressOf(index % ADDRESSES)),
    'Content-Type': type,
    'Content-Length': String(body.length),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

const FORM = 'application/x-www-form-urlencoded'
const KINDS: readonly (readonly [string, (index: number) => string])[] = [
  [
    'look, JSON',
    (index) =>
      guess(
        `${ENROLL_PATH}/look`,
        'application/json',
        JSON.stringify({ code: randomCode() }),
        index,
      ),
  ],
  [
    'look, a form, answered with a page',
    (index) => guess(`${ENROLL_PATH}/look`, FORM, `code=${randomCode()}`, index),
  ],
  [
    'claim, JSON',
    (index) =>
      guess(
        ENROLL_PATH,
        'application/json',
        JSON.stringify({ code: randomCode(), nonce: 'x' }),
        index,
      ),
  ],
]

/** The session of a device that has collected its invitation. */
async function session(): Promise<string> {
  const words = [CERTLATCH, 'device', 'invite', 'Phone', '--key', 'p256', '--json']
  const environment = { ...settings, PATH: process.env['PATH'] ?? '' }
  const { stdout } = await promisify(execFile)(process.execPath, words, { env: environment })
  const { code } = JSON.parse(stdout).invitation
  const answer = await fetch(`http://127.0.0.1:${pagesPort}${ENROLL_PATH}`, {
    method: 'POST',
    headers: { ...fieldsOf('192.168.1.23'), 'Content-Type': 'application/json' },
    body: JSON.stringify({ code, nonce: 'x' }),
  })
  const cookie = /^__Host-certlatch=([^;]+)/.exec(answer.headers.getSetCookie()[0] ?? '')?.[1]
  if (cookie === undefined) throw new Error(`no session: ${answer.status} ${await answer.text()}`)
  return cookie
}

const row = (name: string, { p50, p99 }: TimedSlice, guesses: string): string =>
  `| ${name} | ${p50.toFixed(2)} | ${p99.toFixed(2)} | ${guesses} |\n`

const server = await startServer(CERTLATCH, ['serve'], port, settings, {
  headers: headersOf({}),
  status: 403,
})
try {
  const known = await requestsFile(folder, 'known', [headersOf({ session: await session() })])
  const probe = async (): Promise<TimedSlice> => {
    const slice = await loadAtRate(port, known, PROBE_PER_SECOND, SECONDS, LEAD_IN_SECONDS)
    if (slice.refused + slice.broken > 0) throw new Error('the known cookie is refused')
    return slice
  }
  process.stdout.write('| while | p50 ms | p99 ms | guesses |\n|---|---|---|---|\n')
  process.stdout.write(row('nothing else', await probe(), ''))
  for (const [name, make] of KINDS) {
    for (const perSecond of [100, 1_000, ADDRESSES]) {
      const file = join(folder, 'guesses')
      const guesses = Array.from({ length: ADDRESSES }, (_, index) => make(index))
      await writeFile(file, guesses.join('\0'), 'latin1')
      const running = loadAtRate(pagesPort, file, perSecond, SECONDS + LEAD_IN_SECONDS)
      const slice = await probe()
      const { requests, seconds, broken } = await running
      const answered = `${Math.round(requests / seconds)}/s answered, ${broken} broken`
      process.stdout.write(row(`${name}, ${perSecond}/s`, slice, answered))
    }
  }
  process.stdout.write(row('nothing else', await probe(), ''))
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
