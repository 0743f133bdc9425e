import assert from 'node:assert/strict'
import { Session } from 'node:inspector'
import { test } from 'node:test'
import {
  addTestDevice,
  asked,
  certificateHeader,
  type Headers,
  header,
  makeAuthority,
  makeLeaf,
  NOON_SECONDS,
  openConnection,
  present,
  requestBytes,
  sessionOf,
  startTestService,
} from '../support/service.ts'

/**
 * Watches this thread through its own inspector: V8 reports each exception, a caught one too, and
 * the number of them is the same on every machine.
 */
function watchExceptions() {
  const session = new Session()
  session.connect()
  const seen: string[] = []
  session.on('Debugger.paused', ({ params }) => {
    const { description, value } = { description: undefined, value: undefined, ...params.data }
    const first = String(description ?? value).split('\n')[0] ?? ''
    // The service looks at its files meanwhile, and not all of them have to be there.
    if (!first.startsWith('Error: ENOENT')) seen.push(first)
  })
  session.post('Debugger.enable')
  session.post('Debugger.setPauseOnExceptions', { state: 'all' })
  return {
    /** The number of exceptions since the last call. */
    seen: (): readonly string[] => seen.splice(0),
    end: () => session.disconnect(),
  }
}

const throwAndCatch = (): void => {
  try {
    JSON.parse('{')
  } catch {
    // What the watcher must have seen all the same.
  }
}

for (const proxy of ['traefik', 'nginx', 'caddy'] as const) {
  test(`Under ${proxy} no refusal costs an exception`, async (context) => {
    const service = await startTestService(context, { proxy })
    const { certificate } = await addTestDevice(service.dataDir, 'Ended', undefined, {
      notBefore: NOON_SECONDS - 7200,
      notAfter: NOON_SECONDS + 60,
    })
    await service.refresh()
    const cookie = sessionOf(await service.askWith(certificate))
    const foreign = makeLeaf(makeAuthority('Foreign'))
    const [name] = present(certificateHeader(foreign, proxy)[0])
    const malformed = ['garbage', '!', 'AAAA', ':AAAA:', 'MIIB', '-----BEGIN CERTIFICATE-----']
    const escaped = ['%', '%zz', '%ff%fe', 'a%00b', '%2D%2D%2D%2D%2D', '::AA::']
    const questions: readonly Headers[] = [
      [],
      [['X-Forwarded-Uri', 'no-path']],
      [['X-Forwarded-Uri', '/%zz']],
      [['X-Forwarded-Host', 'not a host']],
      [['X-Forwarded-For', 'nobody']],
      [['Remote_User', 'admin']],
      [
        ['X-Forwarded-Method', 'POST'],
        ['Origin', 'https://elsewhere.test'],
      ],
      [
        ['X-Forwarded-Method', 'POST'],
        ['Origin', 'not an origin'],
      ],
      [['Cookie', cookie]],
      certificateHeader(certificate, proxy),
      certificateHeader(foreign, proxy),
      [['Cookie', '__Host-certlatch=v1.e30.x']],
      [['Cookie', `__Host-certlatch=v1.e30.${'A'.repeat(43)}`]],
      [['Cookie', '__Host-certlatch=%zz']],
      [['Cookie', '__Host-certlatch=a; '.repeat(6)]],
      [['Accept', 'application/json']],
      [['Accept', 'text/html']],
      [...certificateHeader(certificate, proxy), ['Accept', 'text/html']],
      [['Sec-Fetch-Mode', 'navigate']],
      ...[...malformed, ...escaped].map((value): Headers => [[name, value]]),
    ]
    const connection = await openConnection(service.port)
    const ask = async (headers: Headers) =>
      present(await connection.send(requestBytes({ headers: asked(headers) })))
    service.clock.now += 120_000
    // Once before: what is loaded or compiled at the first time is no part of a refusal.
    await ask([])
    const watcher = watchExceptions()
    try {
      throwAndCatch()
      assert.equal(watcher.seen().length, 1, 'the watcher sees caught exceptions')
      const costly: unknown[] = []
      for (const headers of questions) {
        const answer = await ask(headers)
        assert.equal(answer.status, 403, JSON.stringify(headers))
        assert.equal(header(answer, 'X-Certlatch'), 'refused')
        const exceptions = watcher.seen()
        if (exceptions.length > 0) costly.push([headers[0], exceptions])
      }
      assert.deepEqual(costly, [])
    } finally {
      watcher.end()
      connection.close()
    }
  })
}
