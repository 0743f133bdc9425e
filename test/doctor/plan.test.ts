import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CHECKS } from '../../src/doctor/checks.ts'
import { LIMITS } from '../../src/doctor/client.ts'
import { forgedCertificate } from '../../src/doctor/forged-lines.ts'
import { allowedAddress, openPaths } from '../../src/doctor/open-rules.ts'
import { looksLike } from '../../src/doctor/proxy-looks.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { createPolicy } from '../../src/policy/policy.ts'
import { DIALECTS } from '../../src/proxy/dialects.ts'
import { readCertificateHeader } from '../../src/proxy/encodings.ts'
import { answer, factsOf, hereOf, NO_ANSWER } from '../support/doctor.ts'
import { networksOf } from '../support/request.ts'
import { present } from '../support/service.ts'

const below = (name: string, folder: string, methods?: readonly string[]) => ({
  ...{ name, access: 'open' as const, holders: [] },
  conditions: {
    ...{ hosts: undefined, from: undefined },
    paths: { exact: new Set([`${folder}exact`]), below: [folder] },
    methods: methods && new Set(methods),
  },
})
const MANY = createPolicy(
  Array.from({ length: 40 }, (_, index) =>
    below(`rule ${index}`, `/folder${index}/`, index % 2 === 0 ? undefined : ['POST', 'PUT']),
  ),
  [],
)
const facts = factsOf({
  isHomeAssistant: true,
  here: hereOf({ isOpen: (_, path) => /^\/folder\d+\//.test(path) }, MANY),
})
const probes = CHECKS.flatMap((check) => check.plan?.(facts) ?? [])

test('However many rules there are, a run stays well below its limit of requests', () => {
  // Besides: the first 5, up to 15 to a slow service, and 54 if a revocation never takes effect.
  assert.ok(probes.length <= LIMITS.mostRequests - 74, `${probes.length}`)
})

test('Nothing is planned that could change anything', () => {
  for (const probe of probes) {
    if (probe.kind !== 'request') continue
    const { method, path, shown } = probe
    assert.ok(['GET', 'HEAD', 'OPTIONS', 'POST'].includes(method))
    if (method !== 'POST') continue
    assert.equal(shown, 'nothing')
    assert.ok(path.includes(facts.nowhere) || path === '/certlatch-doctor', path)
  }
})

test("The certificate is forged in each proxy's header as that proxy writes it", () => {
  const { certificate } = facts
  for (const { certificateHeader, encoding } of Object.values(DIALECTS)) {
    const [, value] = present(
      forgedCertificate(certificate).find(([name]) => name.toLowerCase() === certificateHeader),
    )
    const expected = { kind: 'certificate', der: certificate }
    assert.deepEqual(readCertificateHeader(value, encoding), expected)
  }
})

test('A client address is taken from within a network that a rule allows', () => {
  const addressIn = (network: string) =>
    allowedAddress({
      here: hereOf(
        {},
        createPolicy(
          [
            {
              ...{ name: 'lan', access: 'open', holders: [] },
              conditions: {
                ...{ hosts: undefined, paths: undefined, methods: undefined },
                from: networksOf(network),
              },
            },
          ],
          [],
        ),
      ),
    })
  for (const [network, address] of [
    ['192.168.1.0/24', '192.168.1.1'],
    ['10.1.2.3', '10.1.2.3'],
    ['10.1.2.3/32', '10.1.2.3'],
    ['fd00::/8', 'fd00::1'],
    ['loopback', undefined],
    ['127.0.0.0/8', undefined],
  ] as const) {
    assert.equal(addressIn(network), address, network)
  }
})

const POLICY = `version: 1
rules:
  - {name: everywhere, access: open, methods: [TRACE], dangerous: true}
  - {name: posts, path: [/hook, /hooks/*], methods: POST, access: open}
  - {name: puts, path: /put/*, methods: PUT, access: open}
  - {name: reads, path: [/a, /b/*], methods: [HEAD, GET], access: open}
  - {name: another host, host: other.example, path: /c, access: open}
  - {name: this host, host: home.example, path: /d, access: open}
  - {name: the lan, from: 192.168.1.0/24, path: /e, access: open}
  - {name: closed, path: /f, access: deny}
`

test('Open paths are tried in ways that change nothing, and only where anyone is allowed', () => {
  const parsed = parsePolicy(Buffer.from(POLICY), networksOf('loopback'))
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.join('\n'))
  const here = hereOf({ isOpen: () => true }, parsed.policy)
  const places = openPaths(factsOf({ here }))
  assert.deepEqual(
    places.map(({ rule, method, path, folder }) => [rule, method, folder ?? path]),
    [
      ['posts', 'POST', '/hooks/'],
      ['reads', 'GET', '/b/'],
      ['reads', 'GET', '/a'],
      ['this host', 'GET', '/d'],
    ],
  )
  assert.deepEqual(openPaths(factsOf({ here: undefined })), [])
  assert.deepEqual(openPaths(factsOf({ here: hereOf({}, parsed.policy) })), [])
})

const NGINX = '<html><head><title>400 Bad Request</title></head><center>nginx/1.22.1</center>'
const HAPROXY = '<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n'

test('A proxy is recognised by its response to an odd request', () => {
  for (const [odd, ordinary, proxy] of [
    [answer(400, {}, NGINX), answer(403), 'nginx'],
    [answer(400, { server: 'nginx' }, 'mine'), answer(403), 'nginx'],
    [answer(400, {}, HAPROXY), answer(403), 'haproxy'],
    [answer(400, {}, '400 Bad Request: malformed HTTP version'), answer(403), 'traefik'],
    [answer(400, {}, '400 Bad Request'), answer(403, { server: 'Caddy' }), 'caddy'],
    [answer(400, {}, '400 Bad Request'), answer(200, { via: '1.1 Caddy' }), 'caddy'],
    [answer(400, {}, 'something else'), answer(403), undefined],
    [NO_ANSWER, answer(403), undefined],
  ] as const) {
    assert.equal(looksLike(odd, [ordinary, NO_ANSWER]), proxy)
  }
})
