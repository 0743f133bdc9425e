import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decide } from '../src/decide.ts'
import {
  type Allow,
  DENY_REASONS,
  type Decision,
  type DenyReason,
  type Via,
} from '../src/decision.ts'
import type { Access, Policy } from '../src/policy/policy.ts'
import { CLOSED_POLICY } from '../src/policy/policy.ts'
import type { DialectName } from '../src/proxy/dialects.ts'
import { DIALECTS } from '../src/proxy/dialects.ts'
import { createHeaderReader } from '../src/proxy/request-headers.ts'
import { readKeyRing, writeKey } from '../src/session/key-ring.ts'
import { mintToken, type SessionClaims, verifyToken } from '../src/session/token.ts'
import { certificateHeader, fixture, NOW_SECONDS } from './support/pki.ts'
import {
  ADA,
  COOKIE_NAME,
  claimsOf,
  GRACE,
  type GroundsOptions,
  groundsOf,
  type HeaderFields,
  KEY_RING,
  keyRingOf,
  onlyKey,
  policyFrom,
  question,
  rawHeaders,
  sessionPair,
} from './support/request.ts'

const CERTIFICATE = 'X-Forwarded-Tls-Client-Cert'
const HOUR = 3600
const DAY = 86_400

/** One auth request: what the proxy sends, and what certlatch knows. */
interface Scene {
  readonly fields?: HeaderFields
  readonly grounds?: GroundsOptions
  readonly fromTrustedAddress?: boolean
  readonly now?: number
}

function ask({ fields, grounds, fromTrustedAddress = true, now = NOW_SECONDS }: Scene): Decision {
  return decide(question(fields, { fromTrustedAddress }), groundsOf(grounds), now)
}

/** `allow via session`, `deny via none: no-credentials`. */
const describeDecision = (decision: Decision): string =>
  decision.allow ? `allow via ${decision.via}` : `deny via ${decision.via}: ${decision.reason}`

const answer = (scene: Scene): string => describeDecision(ask(scene))

function allowed(scene: Scene): Allow {
  const decision = ask(scene)
  assert.ok(decision.allow, describeDecision(decision))
  return decision
}

const shown = (...leaves: readonly string[]): HeaderFields => ({
  [CERTIFICATE]: certificateHeader('traefik', ...leaves),
})
const cookies = (...pairs: readonly string[]): HeaderFields => ({ Cookie: pairs.join('; ') })

const GOOD_SESSION = cookies(sessionPair(claimsOf()))
const FOREIGN_KEY = onlyKey(keyRingOf(9))
const FORGED = sessionPair(claimsOf(), FOREIGN_KEY)
const EXPIRED = sessionPair(claimsOf('leaf-good', { expiresAt: NOW_SECONDS - 1 }))
const AHEAD = sessionPair(
  claimsOf('leaf-good', {
    issuedAt: NOW_SECONDS + DAY,
    expiresAt: NOW_SECONDS + 2 * DAY,
    sessionEnd: NOW_SECONDS + 2 * DAY,
  }),
)

const policyOf = (access: Access, ...allowedOrigins: readonly string[]): Policy => ({
  ...CLOSED_POLICY,
  defaultRule: { name: 'test', access, holders: [] },
  allowedOrigins: new Set(allowedOrigins),
})

describe('Every outcome', () => {
  type Row = readonly [name: string, reason: DenyReason, via: Via, scene: Scene]

  const OTHER_CA = { authorities: ['ca-foreign'], revocationLists: ['crl-of-foreign'] } as const

  const { issuerKeyHash, serial } = claimsOf()
  const BLOCKED = { blocked: [`${issuerKeyHash}/${serial}`] }
  const OF_GRACE = ['rules: {owner: grace, access: certificate-or-session}']
  const ENDED = { endsAt: new Map([['leaf-good', NOW_SECONDS]]) }

  const ROWS: readonly Row[] = [
    [
      'an auth request from an address that is not a trusted proxy is denied',
      'untrusted-proxy',
      'none',
      { fields: shown('leaf-good'), fromTrustedAddress: false },
    ],
    [
      'a proxy that does not send the secret is not answered',
      'untrusted-proxy',
      'none',
      { fields: shown('leaf-good'), grounds: { proxySecret: 'correct horse battery' } },
    ],
    [
      'another proxy than the configured one is not believed',
      'proxy-mismatch',
      'none',
      { fields: { ...shown('leaf-good'), 'X-Certlatch-Proxy': 'caddy' } },
    ],
    [
      'a certificate header of another dialect is denied',
      'header-alias',
      'none',
      { fields: { ...shown('leaf-good'), 'Client-Cert': ':AAAA:' } },
    ],
    [
      'a request without its URI is not judged',
      'malformed-request',
      'none',
      { fields: { ...shown('leaf-good'), 'X-Forwarded-Uri': undefined } },
    ],
    [
      'a look-alike of a trusted header is denied',
      'header-alias',
      'none',
      { fields: { ...shown('leaf-good'), Remote_User: 'root' } },
    ],
    [
      'a header that only the proxy may send is denied if it was sent twice',
      'header-repeated',
      'none',
      { fields: { ...shown('leaf-good'), 'X-Forwarded-Uri': ['/', '/'] } },
    ],
    [
      'a header of the client that came twice is not judged',
      'malformed-request',
      'none',
      { fields: { ...shown('leaf-good'), Origin: ['https://ha.test', 'https://ha.test'] } },
    ],
    [
      'a rule that denies is not asked what was shown',
      'policy-deny',
      'none',
      { fields: shown('leaf-good'), grounds: { policy: policyOf('deny') } },
    ],
    [
      'another site may not act with the device’s certificate',
      'cross-site',
      'none',
      {
        fields: {
          ...shown('leaf-good'),
          'X-Forwarded-Method': 'POST',
          Origin: 'https://evil.test',
        },
      },
    ],
    [
      'anything but a certificate is denied',
      'certificate-malformed',
      'certificate',
      { fields: { [CERTIFICATE]: 'AAAA' } },
    ],
    [
      'a certificate of another CA is denied',
      'certificate-untrusted',
      'certificate',
      { fields: shown('leaf-foreign') },
    ],
    [
      'an expired certificate is denied',
      'certificate-expired',
      'certificate',
      { fields: shown('leaf-expired') },
    ],
    [
      'a certificate that is not valid yet is denied',
      'certificate-not-yet-valid',
      'certificate',
      { fields: shown('leaf-not-yet-valid') },
    ],
    [
      'a certificate whose CA has expired is denied',
      'certificate-issuer-expired',
      'certificate',
      {
        fields: shown('leaf-of-expired-ca'),
        grounds: { authorities: ['ca-expired'], revocationLists: ['crl-of-expired-ca'] },
      },
    ],
    [
      'a revoked certificate is denied',
      'certificate-revoked',
      'certificate',
      { fields: shown('leaf-good'), grounds: { revocationLists: ['crl-good-revoked'] } },
    ],
    [
      'a server’s certificate is denied',
      'certificate-wrong-usage',
      'certificate',
      { fields: shown('leaf-eku-server-auth') },
    ],
    [
      'a certificate with a key of an unsupported type is denied',
      'certificate-unsupported-algorithm',
      'certificate',
      { fields: shown('leaf-key-ed448') },
    ],
    [
      'a certificate with an unknown critical extension is denied',
      'certificate-unknown-extension',
      'certificate',
      { fields: shown('leaf-unknown-critical') },
    ],
    [
      'a certificate signed with SHA-1 is denied',
      'certificate-weak',
      'certificate',
      { fields: shown('leaf-sha1') },
    ],
    [
      'a certificate is denied while its CRL is out of date',
      'certificate-crl-stale',
      'certificate',
      { fields: shown('leaf-good'), grounds: { revocationLists: ['crl-stale'] } },
    ],
    [
      'a certificate is denied while no CRL covers it',
      'certificate-crl-missing',
      'certificate',
      { fields: shown('leaf-good'), grounds: { revocationLists: [] } },
    ],
    [
      'a session is denied while no CRL covers its CA',
      'certificate-crl-missing',
      'session',
      { fields: GOOD_SESSION, grounds: { revocationLists: [] } },
    ],
    [
      'a certificate of the built-in CA that is not in the registry is denied',
      'unknown-device',
      'certificate',
      { fields: shown('leaf-name-emoji') },
    ],
    [
      'an external CA’s certificate without a name is denied',
      'no-identity',
      'certificate',
      { fields: shown('leaf-nobody'), grounds: { registry: undefined } },
    ],
    [
      'a session is denied once its CA is no longer trusted',
      'certificate-untrusted',
      'session',
      { fields: GOOD_SESSION, grounds: OTHER_CA },
    ],
    [
      'a session is denied once its CA has expired',
      'certificate-issuer-expired',
      'session',
      { fields: GOOD_SESSION, grounds: { authorities: ['ca-past'] } },
    ],
    [
      'a session is denied while its CA is not valid yet',
      'certificate-not-yet-valid',
      'session',
      { fields: GOOD_SESSION, grounds: { authorities: ['ca-not-yet-valid'] } },
    ],
    [
      'a session is denied while the CRL is out of date',
      'certificate-crl-stale',
      'session',
      { fields: GOOD_SESSION, grounds: { revocationLists: ['crl-stale'] } },
    ],
    [
      'a session is denied once its device is no longer in the registry',
      'unknown-device',
      'session',
      { fields: GOOD_SESSION, grounds: { registry: new Map([['leaf-second', GRACE]]) } },
    ],
    [
      "a session without the name from an external CA's certificate is denied",
      'no-identity',
      'session',
      {
        fields: GOOD_SESSION,
        grounds: { registry: undefined },
      },
    ],
    [
      'a cookie that is not a token is denied',
      'session-malformed',
      'session',
      { fields: cookies(`${COOKIE_NAME}=true`) },
    ],
    [
      'a token signed with another key is denied',
      'session-forged',
      'session',
      { fields: cookies(FORGED) },
    ],
    ['an expired session is denied', 'session-expired', 'session', { fields: cookies(EXPIRED) }],
    [
      'a session from a clock that was ahead is denied',
      'session-not-yet-valid',
      'session',
      { fields: cookies(AHEAD) },
    ],
    [
      'a session of another host is denied',
      'session-wrong-host',
      'session',
      { fields: { ...GOOD_SESSION, 'X-Forwarded-Host': 'other.test' } },
    ],
    [
      'a session of a revoked certificate is denied',
      'session-revoked',
      'session',
      { fields: GOOD_SESSION, grounds: { revocationLists: ['crl-good-revoked'] } },
    ],
    [
      'a session is denied if the rule requires the certificate itself',
      'session-not-accepted',
      'session',
      { fields: GOOD_SESSION, grounds: { policy: policyOf('certificate') } },
    ],
    [
      'a certificate that the registry marks as revoked is denied, whatever the CRL says',
      'certificate-revoked',
      'certificate',
      { fields: shown('leaf-good'), grounds: { revoked: BLOCKED.blocked } },
    ],
    [
      'a blocked certificate is denied',
      'certificate-blocked',
      'certificate',
      { fields: shown('leaf-good'), grounds: BLOCKED },
    ],
    [
      'a session of a blocked certificate is denied',
      'certificate-blocked',
      'session',
      { fields: GOOD_SESSION, grounds: BLOCKED },
    ],
    [
      'a certificate is denied from the expiry that its renewal has set',
      'certificate-superseded',
      'certificate',
      { fields: shown('leaf-good'), grounds: ENDED },
    ],
    [
      'a session is denied once a renewal has ended its certificate',
      'certificate-superseded',
      'session',
      { fields: GOOD_SESSION, grounds: ENDED },
    ],
    [
      'a session from before its device was signed out is denied',
      'session-signed-out',
      'session',
      { fields: GOOD_SESSION, grounds: { signOuts: new Map([[ADA.device, NOW_SECONDS]]) } },
    ],
    [
      'a certificate is denied if the rule names others',
      'not-permitted',
      'certificate',
      { fields: shown('leaf-good'), grounds: { policy: policyFrom(...OF_GRACE) } },
    ],
    [
      'a session is denied if the rule names others',
      'not-permitted',
      'session',
      { fields: GOOD_SESSION, grounds: { policy: policyFrom(...OF_GRACE) } },
    ],
    [
      'a path that could be meant for something protected is denied',
      'ambiguous-path',
      'none',
      {
        fields: { 'X-Forwarded-Uri': '/open/..%2fclosed' },
        grounds: { policy: policyFrom('rules: {path: /open/*, access: open}') },
      },
    ],
    ['a request without credentials is denied', 'no-credentials', 'none', {}],
  ]

  for (const [name, reason, via, scene] of ROWS) {
    test(name, () => {
      assert.equal(answer(scene), `deny via ${via}: ${reason}`)
    })
  }

  test('a session signed with a retired key is denied', () => {
    const until = NOW_SECONDS + 10
    const read = readKeyRing(
      [
        writeKey(Buffer.alloc(32, 1), [`verifies-until=${until}`]),
        writeKey(Buffer.alloc(32, 2)),
      ].join('\n'),
    )
    assert.ok(read.ok)
    const scene = { fields: GOOD_SESSION, grounds: { keyRing: read.ring } }
    assert.equal(answer({ ...scene, now: until - 1 }), 'allow via session')
    assert.equal(answer({ ...scene, now: until }), 'deny via session: session-key-retired')
  })

  test('every reason is among these outcomes, except for those of the server itself', () => {
    const reached = new Set(ROWS.map(([, reason, via]) => `${reason} ${via}`))
    reached.add('session-key-retired session')
    const elsewhere = new Set<DenyReason>([
      'malformed-http',
      'certificate-rate-limited',
      'internal-error',
    ])
    const declared = Object.entries(DENY_REASONS)
      .filter(([reason]) => !elsewhere.has(reason as DenyReason))
      .flatMap(([reason, ways]) => ways.map((via) => `${reason} ${via}`))
    assert.deepEqual([...reached].sort(), declared.sort())
  })
})

describe('The facts in a decision', () => {
  const policy = policyFrom(
    [
      'rules:',
      '  - {name: front, path: /front, access: open}',
      '  - {name: shed, path: /shed/*, access: deny}',
      '  - {name: safe, path: /safe, access: certificate}',
    ].join('\n'),
  )
  const ruleOf = (uri: string, fields: HeaderFields = {}, fromTrustedAddress = true) => {
    const scene = { fields: { ...fields, 'X-Forwarded-Uri': uri }, grounds: { policy } }
    return ask({ ...scene, fromTrustedAddress }).rule?.name
  }

  test('include the rule that applied, whatever the outcome', () => {
    assert.equal(ruleOf('/front'), 'front')
    assert.equal(ruleOf('/shed/key'), 'shed')
    for (const fields of [{}, GOOD_SESSION, shown('leaf-good'), shown('leaf-expired')]) {
      assert.equal(ruleOf('/safe', fields), 'safe')
      assert.equal(ruleOf('/elsewhere', fields), 'default')
    }
  })

  test('name the strictest rule for an ambiguous path', () => {
    const decision = ask({
      fields: { 'X-Forwarded-Uri': '/front/..%2fshed/key' },
      grounds: { policy },
    })
    assert.equal(decision.rule?.name, 'shed')
    assert.equal(decision.rule.insteadOf?.name, 'default')
  })

  test('include no rule if the request is denied before one is looked up', () => {
    assert.equal(ruleOf('/front', {}, false), undefined)
    assert.equal(ruleOf('/front', { 'X-Certlatch-Proxy': 'caddy' }), undefined)
    assert.equal(ruleOf('no path'), undefined)
  })

  test('include the notAfter of an expired certificate, and of no other', () => {
    const notAfterOf = (fields: HeaderFields, revocationLists?: readonly string[]) => {
      const decision = ask({ fields, ...(revocationLists && { grounds: { revocationLists } }) })
      assert.ok(!decision.allow)
      return decision.notAfter
    }
    const notAfter = notAfterOf(shown('leaf-expired'))
    assert.ok(notAfter !== undefined && notAfter < NOW_SECONDS)
    assert.equal(notAfterOf(shown('leaf-not-yet-valid')), undefined)
    assert.equal(notAfterOf(shown('leaf-good'), ['crl-good-revoked']), undefined)
    assert.equal(notAfterOf(cookies(EXPIRED)), undefined)
  })
})

describe('The order of the checks', () => {
  /** What each check finds, in the contract's order; any two can be found in one request. */
  const DEFECTS: readonly (readonly [DenyReason, Scene])[] = [
    ['untrusted-proxy', { fromTrustedAddress: false }],
    ['proxy-mismatch', { fields: { 'X-Certlatch-Proxy': 'caddy' } }],
    ['header-repeated', { fields: { 'X-Forwarded-Proto': ['https', 'https'] } }],
    ['malformed-request', { fields: { 'X-Forwarded-Host': 'ha.test, evil.test' } }],
    ['header-alias', { fields: { 'Remote.User': 'root' } }],
    ['policy-deny', { grounds: { policy: policyOf('deny') } }],
    ['cross-site', { fields: { 'X-Forwarded-Method': 'DELETE', 'Sec-Fetch-Site': 'same-site' } }],
    ['certificate-weak', { fields: shown('leaf-sha1') }],
    ['session-forged', { fields: cookies(FORGED) }],
  ]

  const merge = (first: Scene, second: Scene): Scene => ({
    ...first,
    ...second,
    fields: { ...first.fields, ...second.fields },
    grounds: { ...first.grounds, ...second.grounds },
  })

  for (const [index, [earlier, first]] of DEFECTS.entries()) {
    for (const [later, second] of DEFECTS.slice(index + 1)) {
      test(`${earlier} takes precedence over ${later}`, () => {
        const decision = ask(merge(second, first))
        assert.ok(!decision.allow)
        assert.equal(decision.reason, earlier)
      })
    }
  }

  test('with every defect at once, the first check decides', () => {
    const all = DEFECTS.map(([, scene]) => scene).reduce(merge)
    assert.equal(answer(all), 'deny via none: untrusted-proxy')
  })

  test('a wrong proxy secret is reported before anything else is read', () => {
    const fields = { 'X-Certlatch-Proxy-Secret': 'wrong', 'X-Forwarded-Uri': undefined }
    assert.equal(
      answer({ fields, grounds: { proxySecret: 'correct horse battery' } }),
      'deny via none: untrusted-proxy',
    )
  })

  test('under an open rule, the certificate, the session and the origin are not checked', () => {
    const grounds = {
      ...groundsOf({ policy: policyOf('open') }),
      verifyCertificate: () => assert.fail('the certificate was read'),
      verifyToken: () => assert.fail('the session was read'),
      recognize: () => assert.fail('a device was looked up'),
    }
    const fields = {
      ...shown('leaf-sha1'),
      ...cookies(FORGED),
      'X-Forwarded-Method': 'POST',
      'Sec-Fetch-Site': 'cross-site',
      Origin: 'https://evil.test',
    }
    assert.deepEqual(decide(question(fields), grounds, NOW_SECONDS), {
      allow: true,
      via: 'rule',
      identity: undefined,
      setSession: undefined,
      rule: grounds.policy.defaultRule,
    })
  })

  test('an open rule does not allow an untrusted proxy or an incomplete request', () => {
    const grounds = { policy: policyOf('open') }
    assert.equal(answer({ grounds, fromTrustedAddress: false }), 'deny via none: untrusted-proxy')
    assert.equal(
      answer({ grounds, fields: { 'X-Forwarded-Method': undefined } }),
      'deny via none: malformed-request',
    )
    assert.equal(
      answer({ grounds, fields: { X_Certlatch_Device: 'x' } }),
      'deny via none: header-alias',
    )
  })
})

describe("The proxy's name for itself", () => {
  const NAMES: readonly DialectName[] = ['traefik', 'caddy', 'haproxy', 'nginx']
  const judged = (proxy: string | readonly string[] | undefined, dialect: DialectName) => {
    const own = DIALECTS[dialect].certificateHeader
    const fields = { [own]: certificateHeader(dialect, 'leaf-good'), 'X-Certlatch-Proxy': proxy }
    return describeDecision(
      decide(question(fields, { dialect }), groundsOf({ dialect }), NOW_SECONDS),
    )
  }

  test('is accepted if it is the configured one, or absent', () => {
    for (const name of NAMES) {
      assert.equal(judged(name, name), 'allow via certificate')
      assert.equal(judged(undefined, name), 'allow via certificate')
    }
  })

  test('is denied if it is another one, or anything else', () => {
    for (const name of NAMES) {
      const others = NAMES.filter((other) => other !== name)
      const odd = ['', name.toUpperCase(), `${name}, ${name}`, `"${name}"`, 'envoy', '\u00ff']
      for (const sent of [...others, ...odd]) {
        assert.equal(judged(sent, name), 'deny via none: proxy-mismatch', `${sent} for ${name}`)
      }
    }
  })

  test('is denied if it was sent twice, whatever the copies say', () => {
    for (const copies of [
      ['traefik', 'traefik'],
      ['traefik', 'caddy'],
      ['caddy', 'traefik'],
      ['', 'traefik'],
    ]) {
      assert.equal(judged(copies, 'traefik'), 'deny via none: header-repeated')
    }
  })
})

describe("The proxy's secret", () => {
  const grounds = { proxySecret: 'correct horse battery' }
  const withSecret = (secret: string | readonly string[]): Scene => ({
    fields: { ...shown('leaf-good'), 'X-Certlatch-Proxy-Secret': secret },
    grounds,
  })

  test('if correct, lets the request on to the other checks', () => {
    assert.equal(answer(withSecret('correct horse battery')), 'allow via certificate')
  })

  for (const secret of [
    '',
    'correct horse batterx',
    'correct horse batter',
    'Correct horse battery',
  ]) {
    test(`${JSON.stringify(secret)} is not the secret`, () => {
      assert.equal(answer(withSecret(secret)), 'deny via none: untrusted-proxy')
    })
  }

  test('is denied if it was sent twice, whichever copy is right', () => {
    assert.equal(
      answer(withSecret(['correct horse battery', 'wrong'])),
      'deny via none: header-repeated',
    )
    assert.equal(
      answer(withSecret(['wrong', 'correct horse battery'])),
      'deny via none: untrusted-proxy',
    )
  })

  test('changes nothing if it is sent but none is configured', () => {
    const fields = { ...shown('leaf-good'), 'X-Certlatch-Proxy-Secret': 'anything' }
    assert.equal(answer({ fields }), 'allow via certificate')
  })
})

describe('The basic rules', () => {
  test('a good certificate is allowed, names its device, and is answered with a session', () => {
    assert.deepEqual(ask({ fields: shown('leaf-good') }), {
      allow: true,
      via: 'certificate',
      identity: ADA,
      setSession: { cause: 'opened', claims: claimsOf() },
      rule: CLOSED_POLICY.defaultRule,
    })
  })

  test('the session records which certificate created it, for which host, when, and its expiry', () => {
    const session = allowed({ fields: shown('leaf-good') }).setSession
    assert.ok(session)
    const { issuerKeyHash, serial, certificateSha256, ...rest } = session.claims
    assert.match(issuerKeyHash, /^[A-Za-z0-9_-]{43}$/)
    assert.equal(serial, '4253efe116f961b9e1b23bc0d8c97488')
    assert.match(certificateSha256, /^[A-Za-z0-9_-]{43}$/)
    assert.deepEqual(rest, {
      name: undefined,
      distributionPoints: undefined,
      host: 'ha.test',
      issuedAt: NOW_SECONDS,
      certificateSeenAt: NOW_SECONDS,
      sessionEnd: NOW_SECONDS + DAY,
      expiresAt: NOW_SECONDS + HOUR,
    })
  })

  test('the cookie alone is accepted until its expiry, and not a second longer', () => {
    const claims = claimsOf()
    const scene = { fields: cookies(sessionPair(claims)) }
    const decision = allowed(scene)
    assert.equal(decision.via, 'session')
    assert.deepEqual(decision.identity, ADA)
    assert.equal(decision.setSession, undefined)
    assert.equal(answer({ ...scene, now: claims.expiresAt - 1 }), 'allow via session')
    assert.equal(answer({ ...scene, now: claims.expiresAt }), 'deny via session: session-expired')
  })

  for (const bad of ['leaf-expired', 'leaf-foreign', 'leaf-eku-server-auth', 'leaf-self-signed']) {
    test(`a bad certificate (${bad}) is denied whatever the cookie says`, () => {
      const decision = ask({ fields: { ...shown(bad), ...GOOD_SESSION } })
      assert.equal(decision.allow, false)
      assert.equal(decision.via, 'certificate')
    })
  }

  test('garbage in the certificate header is denied whatever the cookie says', () => {
    assert.equal(
      answer({ fields: { [CERTIFICATE]: 'garbage', ...GOOD_SESSION } }),
      'deny via certificate: certificate-malformed',
    )
  })

  test('a certificate header that says "none" leaves the decision to the cookie', () => {
    for (const none of ['', '(null)']) {
      const fields = { [CERTIFICATE]: none }
      assert.equal(answer({ fields: { ...fields, ...GOOD_SESSION } }), 'allow via session')
      assert.equal(answer({ fields }), 'deny via none: no-credentials')
    }
  })

  test('a chain after the leaf is read but never trusted', () => {
    const grounds = { authorities: ['ca-root'], revocationLists: [], revocationListRequired: false }
    const fields = shown('leaf-of-intermediate', 'ca-intermediate', 'ca-root')
    assert.equal(answer({ fields, grounds }), 'deny via certificate: certificate-untrusted')
    assert.equal(answer({ fields: shown('leaf-good', 'ca-p256') }), 'allow via certificate')
  })

  test('a good certificate after a bad one is not accepted', () => {
    const fields = shown('leaf-foreign', 'leaf-good')
    assert.equal(answer({ fields }), 'deny via certificate: certificate-untrusted')
  })

  for (const dialect of ['traefik', 'caddy', 'haproxy', 'nginx'] as const) {
    test(`a certificate is accepted as ${dialect} sends it`, () => {
      const name = DIALECTS[dialect].certificateHeader
      const fields = { [name]: certificateHeader(dialect, 'leaf-good') }
      const decision = decide(question(fields, { dialect }), groundsOf({ dialect }), NOW_SECONDS)
      assert.equal(describeDecision(decision), 'allow via certificate')
    })
  }

  test("other proxies' certificate headers are denied, even beside a good certificate", () => {
    const dialects: readonly DialectName[] = ['traefik', 'caddy', 'haproxy', 'nginx']
    const judged = (fields: HeaderFields, dialect: DialectName) =>
      describeDecision(decide(question(fields, { dialect }), groundsOf({ dialect }), NOW_SECONDS))
    for (const configured of dialects) {
      const own = DIALECTS[configured].certificateHeader
      const good = { [own]: certificateHeader(configured, 'leaf-good') }
      for (const sent of dialects.filter((name) => DIALECTS[name].certificateHeader !== own)) {
        const foreign = DIALECTS[sent].certificateHeader
        const value = certificateHeader(sent, 'leaf-good')
        for (const shown of [{}, good, GOOD_SESSION]) {
          for (const forged of [value, 'x', '::', [value, value], ['', 'x'], [value, '']]) {
            const fields = { ...shown, [foreign]: forged }
            assert.equal(judged(fields, configured), 'deny via none: header-alias')
          }
        }
        assert.equal(judged({ ...good, [foreign]: '' }, configured), 'allow via certificate')
      }
    }
  })

  test("if CERTLATCH_CERTIFICATE_HEADER names one of them, the dialect's own is the foreign one", () => {
    const value = certificateHeader('traefik', 'leaf-good')
    for (const certificateHeader of ['client-cert', 'x-ssl-client-cert', 'x-my-cert']) {
      const { read } = createHeaderReader({ ...DIALECTS.traefik, certificateHeader })
      const judged = (fields: HeaderFields) => {
        const headers = read(rawHeaders(fields))
        return describeDecision(
          decide({ fromTrustedAddress: true, headers }, groundsOf(), NOW_SECONDS),
        )
      }
      const good = { [certificateHeader]: value }
      assert.equal(judged(good), 'allow via certificate')
      for (const { certificateHeader: usual } of Object.values(DIALECTS)) {
        if (usual === certificateHeader) continue
        assert.equal(judged({ ...good, [usual]: value }), 'deny via none: header-alias')
        assert.equal(judged({ [usual]: value }), 'deny via none: header-alias')
        assert.equal(judged({ ...good, [usual]: '' }), 'allow via certificate')
      }
    }
  })

  test('with an external CA, the session remembers the name in the certificate', () => {
    const external = { grounds: { registry: undefined } }
    const opened = allowed({ fields: shown('leaf-san-email'), ...external })
    assert.deepEqual(opened.identity, { device: 'ada@home.test', user: 'ada@home.test' })
    assert.ok(opened.setSession)
    const pair = sessionPair(opened.setSession.claims)
    assert.deepEqual(allowed({ fields: cookies(pair), ...external }).identity, opened.identity)
  })
})

describe('Showing the certificate extends the session', () => {
  const scene = (claims: SessionClaims): Scene => ({
    fields: { ...shown('leaf-good'), ...cookies(sessionPair(claims)) },
  })

  test('but not if the session saw the certificate at most half a TTL ago', () => {
    const claims = claimsOf()
    for (const passed of [0, 1, HOUR / 2]) {
      const decision = allowed({ ...scene(claims), now: NOW_SECONDS + passed })
      assert.equal(decision.via, 'certificate')
      assert.equal(decision.setSession, undefined)
    }
  })

  test('if the session saw it longer ago: a new one with a later expiry replaces it', () => {
    const claims = claimsOf()
    const now = NOW_SECONDS + HOUR / 2 + 1
    const { setSession } = allowed({ ...scene(claims), now })
    assert.equal(setSession?.cause, 'shown-again')
    assert.equal(setSession?.claims.certificateSeenAt, now)
    assert.equal(setSession?.claims.sessionEnd, now + DAY)
    assert.equal(setSession?.claims.expiresAt, now + HOUR)
  })

  test('even if the session was renewed by cookie a moment ago', () => {
    const renewed = claimsOf('leaf-good', {
      certificateSeenAt: NOW_SECONDS - 5 * HOUR,
      sessionEnd: NOW_SECONDS + 19 * HOUR,
    })
    const { setSession } = allowed(scene(renewed))
    assert.equal(setSession?.cause, 'shown-again')
    assert.equal(setSession?.claims.sessionEnd, NOW_SECONDS + DAY)
  })

  test('but a clock that was set back does not cause a new token with every request', () => {
    assert.equal(allowed({ ...scene(claimsOf()), now: NOW_SECONDS - 50 }).setSession, undefined)
  })

  const NOT_ITS_OWN: readonly (readonly [string, string])[] = [
    ['another certificate', sessionPair(claimsOf('leaf-second'))],
    [
      'the same serial number of another CA',
      sessionPair(
        claimsOf('leaf-good', {
          issuerKeyHash: claimsOf('leaf-of-twin', {}, 'ca-twin').issuerKeyHash,
        }),
      ),
    ],
    ['another host', sessionPair(claimsOf('leaf-good', { host: 'other.test' }))],
    ['another key', FORGED],
    ['the past', EXPIRED],
    ['a hand-written token', `${COOKIE_NAME}=v1.e30.AAAA`],
  ]
  for (const [whose, pair] of NOT_ITS_OWN) {
    test(`beside a session of ${whose}, the certificate gets its own session`, () => {
      const decision = allowed({ fields: { ...shown('leaf-good'), ...cookies(pair) } })
      assert.equal(decision.via, 'certificate')
      assert.equal(decision.setSession?.cause, 'opened')
    })
  }

  test('and its own session is found wherever it is among the cookies', () => {
    const own = sessionPair(claimsOf())
    const fields = { ...shown('leaf-good'), ...cookies(FORGED, EXPIRED, 'a=b', own) }
    assert.equal(allowed({ fields }).setSession, undefined)
  })

  test('too many cookies are all ignored, and the certificate is still accepted', () => {
    const own = sessionPair(claimsOf())
    const fields = { ...shown('leaf-good'), ...cookies(own, own, own, own, own) }
    assert.equal(allowed({ fields }).setSession?.cause, 'opened')
  })
})

describe('Session renewal', () => {
  const renewalAt = (claims: SessionClaims, now: number, grounds: GroundsOptions = {}) =>
    allowed({ fields: cookies(sessionPair(claims)), now, grounds }).setSession

  test('does not happen in the first half of its life', () => {
    assert.equal(renewalAt(claimsOf(), NOW_SECONDS + HOUR / 2 - 1), undefined)
  })

  test('after half its life extends it to a whole TTL from now, and leaves its end unchanged', () => {
    const now = NOW_SECONDS + HOUR / 2
    assert.deepEqual(renewalAt(claimsOf(), now), {
      cause: 'renewed',
      claims: { ...claimsOf(), issuedAt: now, expiresAt: now + HOUR },
    })
  })

  test('never exceeds the maximal age since the certificate was seen', () => {
    let claims = claimsOf()
    const { sessionEnd, certificateSeenAt } = claims
    let renewals = 0
    for (let now = NOW_SECONDS; now < sessionEnd; now += 600) {
      const renewed = renewalAt(claims, now)
      if (renewed === undefined) continue
      claims = renewed.claims
      renewals += 1
      assert.equal(claims.sessionEnd, sessionEnd)
      assert.equal(claims.certificateSeenAt, certificateSeenAt)
      assert.ok(claims.expiresAt <= sessionEnd)
    }
    assert.ok(renewals > 20, `${renewals} renewals`)
    const fields = cookies(sessionPair(claims))
    assert.equal(answer({ fields, now: sessionEnd - 1 }), 'allow via session')
    assert.equal(answer({ fields, now: sessionEnd }), 'deny via session: session-expired')
  })

  test('happens only if the expiry grows by a quarter of the TTL', () => {
    const now = NOW_SECONDS + 45 * 60
    const endingIn = (sessionEnd: number) => claimsOf('leaf-good', { sessionEnd })
    const expiresAt = NOW_SECONDS + HOUR
    assert.equal(renewalAt(endingIn(expiresAt), now), undefined)
    assert.equal(renewalAt(endingIn(expiresAt + 899), now), undefined)
    assert.equal(renewalAt(endingIn(expiresAt + 900), now)?.claims.expiresAt, expiresAt + 900)
  })

  test('stops for older sessions when the maximal age is lowered, and they end', () => {
    const lifetime = { ttlSeconds: HOUR, maxAgeSeconds: 2 * HOUR }
    const claims = claimsOf('leaf-good', { certificateSeenAt: NOW_SECONDS - 2 * HOUR + 60 })
    const fields = cookies(sessionPair(claims))
    assert.equal(answer({ fields, grounds: { lifetime } }), 'allow via session')
    assert.equal(
      answer({ fields, grounds: { lifetime }, now: NOW_SECONDS + 60 }),
      'deny via session: session-expired',
    )
  })

  test('is bounded by a maximal age that was lowered', () => {
    const lifetime = { ttlSeconds: HOUR, maxAgeSeconds: 5400 }
    const renewed = renewalAt(claimsOf(), NOW_SECONDS + HOUR / 2, { lifetime })
    assert.equal(renewed?.claims.sessionEnd, NOW_SECONDS + 5400)
    assert.equal(renewed?.claims.expiresAt, NOW_SECONDS + 5400)
  })

  test('has a TTL that, when lowered, ends longer sessions, with a minute of tolerance', () => {
    const lifetime = { ttlSeconds: 600, maxAgeSeconds: DAY }
    const expiringIn = (seconds: number): Scene => ({
      fields: cookies(sessionPair(claimsOf('leaf-good', { expiresAt: NOW_SECONDS + seconds }))),
      grounds: { lifetime },
    })
    assert.equal(answer(expiringIn(660)), 'allow via session')
    assert.equal(answer(expiringIn(661)), 'deny via session: session-expired')
  })

  test('never makes a session outlive its certificate', () => {
    const grounds = { registry: undefined }
    const notAfter = Date.UTC(2026, 0, 31) / 1000
    const now = notAfter - 600
    const { setSession } = allowed({ fields: shown('leaf-expired'), grounds, now })
    assert.equal(setSession?.claims.sessionEnd, notAfter)
    assert.equal(setSession?.claims.expiresAt, notAfter)
    assert.ok(setSession)
    const fields = cookies(sessionPair(setSession.claims))
    assert.equal(answer({ fields, grounds, now: notAfter - 1 }), 'allow via session')
    assert.equal(answer({ fields, grounds, now: notAfter }), 'deny via session: session-expired')
  })
})

describe('Our cookies among others', () => {
  const GOOD = sessionPair(claimsOf())
  const bad = `${COOKIE_NAME}=tossed`

  for (const position of [0, 1, 2, 3]) {
    test(`a good one is accepted as number ${position + 1} of four`, () => {
      const pairs = [FORGED, EXPIRED, bad]
      pairs.splice(position, 0, GOOD)
      assert.equal(answer({ fields: cookies(...pairs) }), 'allow via session')
    })
  }

  test("of several bad ones, the first one's problem is reported", () => {
    assert.equal(answer({ fields: cookies(EXPIRED, FORGED) }), 'deny via session: session-expired')
    assert.equal(answer({ fields: cookies(FORGED, EXPIRED) }), 'deny via session: session-forged')
    assert.equal(
      answer({
        fields: cookies(GOOD, FORGED),
        grounds: { revocationLists: ['crl-good-revoked'] },
      }),
      'deny via session: session-revoked',
    )
  })

  test('five are too many, even if every one is good', () => {
    assert.equal(
      answer({ fields: cookies(GOOD, GOOD, GOOD, GOOD, GOOD) }),
      'deny via session: session-malformed',
    )
  })

  test('they count across several Cookie lines, as HTTP/2 may split them', () => {
    assert.equal(answer({ fields: { Cookie: ['a=b', GOOD, 'c=d'] } }), 'allow via session')
    assert.equal(
      answer({ fields: { Cookie: [bad, bad, bad, bad, GOOD] } }),
      'deny via session: session-malformed',
    )
  })

  test('a good token under another name is ignored', () => {
    for (const name of [
      'certlatch',
      '__host-certlatch',
      'x__Host-certlatch',
      '__Host-certlatch2',
    ]) {
      const pair = sessionPair(claimsOf(), onlyKey(KEY_RING), name)
      assert.equal(answer({ fields: cookies(pair) }), 'deny via none: no-credentials')
    }
  })

  test('the session of one certificate allows that device, not the one that was asked about last', () => {
    const fields = cookies(sessionPair(claimsOf('leaf-second')), GOOD)
    assert.deepEqual(allowed({ fields }).identity, GRACE)
  })

  test('a session is looked up by issuer and serial, never by the fingerprint', () => {
    const claims = claimsOf('leaf-good', { certificateSha256: 'anything' })
    assert.deepEqual(allowed({ fields: cookies(sessionPair(claims)) }).identity, ADA)
  })
})

describe('A session is valid', () => {
  test('on its host, however the proxy spells it', () => {
    for (const host of ['ha.test', 'HA.Test', 'ha.test.', 'ha.test:8443', 'HA.TEST.:443']) {
      const fields = { ...GOOD_SESSION, 'X-Forwarded-Host': host }
      assert.equal(answer({ fields }), 'allow via session', host)
    }
  })

  test('on no other host, whatever they share', () => {
    for (const host of ['test', 'a.ha.test', 'xha.test', 'ha.test.evil', 'ha.tes', '[::1]']) {
      const fields = { ...GOOD_SESSION, 'X-Forwarded-Host': host }
      assert.equal(answer({ fields }), 'deny via session: session-wrong-host', host)
    }
  })

  test('with a cookie domain, on every host that the cookie reaches', () => {
    const grounds = { cookieDomain: 'home.test', cookieName: '__Secure-certlatch' }
    const fields = { ...shown('leaf-good'), 'X-Forwarded-Host': 'ha.home.test' }
    const { setSession } = allowed({ fields, grounds })
    assert.equal(setSession?.claims.host, 'home.test')
    assert.ok(setSession)
    const pair = sessionPair(setSession.claims, onlyKey(KEY_RING), '__Secure-certlatch')
    const elsewhere = { ...cookies(pair), 'X-Forwarded-Host': 'grafana.home.test' }
    assert.equal(answer({ fields: elsewhere, grounds }), 'allow via session')
  })

  test('with a cookie domain, not on a host outside it: only the certificate is accepted, and no cookie set', () => {
    const grounds = { cookieDomain: 'home.test', cookieName: '__Secure-certlatch' }
    for (const host of ['ha.test', 'xhome.test', 'home.test.evil']) {
      const fields = { ...shown('leaf-good'), 'X-Forwarded-Host': host }
      assert.equal(allowed({ fields, grounds }).setSession, undefined, host)
    }
  })

  test('no longer once a cookie domain is set, or was removed', () => {
    assert.equal(
      answer({ fields: GOOD_SESSION, grounds: { cookieDomain: 'test' } }),
      'deny via session: session-wrong-host',
    )
    const pair = sessionPair(claimsOf('leaf-good', { host: 'test' }))
    assert.equal(answer({ fields: cookies(pair) }), 'deny via session: session-wrong-host')
  })
})

describe('A session ends with its certificate', () => {
  test('a CRL past its nextUpdate is tolerated if so configured, and revocation still counts', () => {
    const tolerant = { revocationLists: ['crl-stale'], staleRevocationList: 'allow' } as const
    assert.equal(answer({ fields: GOOD_SESSION, grounds: tolerant }), 'allow via session')
    assert.equal(answer({ fields: shown('leaf-good'), grounds: tolerant }), 'allow via certificate')
    assert.equal(
      answer({ fields: cookies(sessionPair(claimsOf('leaf-second'))), grounds: tolerant }),
      'deny via session: session-revoked',
    )
  })

  test('without a required CRL, neither certificate nor session is accepted', () => {
    const grounds = { revocationLists: [] }
    assert.equal(
      answer({ fields: shown('leaf-good'), grounds }),
      'deny via certificate: certificate-crl-missing',
    )
    assert.equal(
      answer({ fields: GOOD_SESSION, grounds }),
      'deny via session: certificate-crl-missing',
    )
  })

  test('if no CRL is required, both are accepted without one', () => {
    const grounds = { revocationLists: [], revocationListRequired: false }
    assert.equal(answer({ fields: shown('leaf-good'), grounds }), 'allow via certificate')
    assert.equal(answer({ fields: GOOD_SESSION, grounds }), 'allow via session')
  })

  test('other devices keep their sessions when one is revoked', () => {
    const grounds = { revocationLists: ['crl-second-revoked'] }
    assert.equal(answer({ fields: GOOD_SESSION, grounds }), 'allow via session')
  })

  test('a CA renewed with the same key keeps the sessions of its certificates', () => {
    const grounds = { authorities: ['ca-renewed'], revocationLists: ['crl-of-renewed'] }
    assert.equal(answer({ fields: GOOD_SESSION, grounds }), 'allow via session')
  })

  test('a CA with the same name but another key does not inherit sessions', () => {
    const grounds = { authorities: ['ca-twin'], revocationLists: ['crl-of-twin'] }
    assert.equal(
      answer({ fields: GOOD_SESSION, grounds }),
      'deny via session: certificate-untrusted',
    )
  })

  test("a second encoding of the certificate's signature is the same device, and revoked with it", () => {
    assert.notDeepEqual(fixture('leaf-malleated'), fixture('leaf-good'))
    assert.deepEqual(allowed({ fields: shown('leaf-malleated') }).identity, ADA)
    assert.equal(
      answer({
        fields: shown('leaf-malleated'),
        grounds: { revocationLists: ['crl-good-revoked'] },
      }),
      'deny via certificate: certificate-revoked',
    )
  })
})

describe('A rule', () => {
  test('with access "certificate" requires the certificate itself, shown with the request', () => {
    const grounds = { policy: policyOf('certificate') }
    assert.equal(answer({ fields: shown('leaf-good'), grounds }), 'allow via certificate')
    assert.equal(answer({ grounds }), 'deny via none: no-credentials')
    assert.equal(
      answer({ fields: cookies(FORGED), grounds }),
      'deny via session: session-not-accepted',
    )
  })

  test('lists who is allowed, by device or owner; no one else falls through to the next rule', () => {
    const policy = policyFrom(
      'rules:',
      '  - {path: /private/*, owner: [ada, emmy], device: Old phone, access: certificate-or-session}',
      '  - {path: /private/*, access: certificate-or-session}',
    )
    const at = (path: string, fields: HeaderFields) =>
      answer({ fields: { ...fields, 'X-Forwarded-Uri': path }, grounds: { policy } })
    assert.equal(at('/private/a', shown('leaf-good')), 'allow via certificate')
    assert.equal(at('/private/a', GOOD_SESSION), 'allow via session')
    assert.equal(at('/private/a', shown('leaf-second')), 'deny via certificate: not-permitted')
    assert.equal(at('/other', shown('leaf-second')), 'allow via certificate')
  })

  test("matches holders of an external CA's certificates by their name, as device and as owner", () => {
    const { identity, setSession } = allowed({
      fields: shown('leaf-san-email'),
      grounds: { registry: undefined },
    })
    const name = identity?.device
    assert.ok(name !== undefined && setSession !== undefined)
    for (const key of ['device', 'owner']) {
      const grounds: GroundsOptions = {
        registry: undefined,
        policy: policyFrom(`rules: {${key}: "${name}", access: certificate-or-session}`),
      }
      const session = cookies(sessionPair(setSession.claims))
      assert.equal(answer({ fields: shown('leaf-san-email'), grounds }), 'allow via certificate')
      assert.equal(answer({ fields: session, grounds }), 'allow via session')
      assert.equal(
        answer({ fields: shown('leaf-good'), grounds }),
        'deny via certificate: not-permitted',
      )
    }
  })

  test('that lists other devices does not reveal whether a bad certificate is one of theirs', () => {
    const grounds = { policy: policyFrom('rules: {owner: grace, access: certificate}') }
    const fields = shown('leaf-expired')
    assert.equal(answer({ fields, grounds }), 'deny via certificate: certificate-expired')
    assert.equal(answer({ grounds }), 'deny via none: no-credentials')
  })

  test('allows a request if any one of several sessions is allowed', () => {
    const grace = sessionPair(claimsOf('leaf-second'))
    const grounds = { policy: policyFrom('rules: {owner: grace, access: certificate-or-session}') }
    const fields = cookies(sessionPair(claimsOf()), grace)
    assert.equal(answer({ fields, grounds }), 'allow via session')
  })

  test('for an ambiguous path is the strictest, and the path is blamed only if that causes the denial', () => {
    const policy = policyFrom('rules: {path: /a/*, access: certificate}')
    const at = (path: string, fields: HeaderFields) =>
      answer({ fields: { ...fields, 'X-Forwarded-Uri': path }, grounds: { policy } })
    assert.equal(at('/b/..%2fa', GOOD_SESSION), 'deny via none: ambiguous-path')
    assert.equal(at('/b/..%2fa', shown('leaf-good')), 'allow via certificate')
    assert.equal(at('/b/..%2fa', {}), 'deny via none: no-credentials')
    assert.equal(at('/b/x%2fa', GOOD_SESSION), 'allow via session')
  })

  test('that is missing, without a policy, means that everything needs a certificate or a session', () => {
    assert.equal(CLOSED_POLICY.defaultRule.access, 'certificate-or-session')
    assert.equal(CLOSED_POLICY.allowedOrigins.size, 0)
  })
})

describe('A preflight', () => {
  const preflight = {
    'X-Forwarded-Method': 'OPTIONS',
    Origin: 'https://cast.test',
    'Access-Control-Request-Method': 'POST',
  }
  const listed = { policy: policyOf('certificate-or-session', 'https://cast.test') }

  test('from a listed origin passes without certificate and session, and creates no session', () => {
    assert.deepEqual(ask({ fields: preflight, grounds: listed }), {
      allow: true,
      via: 'rule',
      identity: undefined,
      setSession: undefined,
      rule: listed.policy.defaultRule,
    })
  })

  const OTHERS: readonly (readonly [string, HeaderFields])[] = [
    ['from an origin that is not listed', { Origin: 'https://cast.test.evil' }],
    ['without an origin', { Origin: undefined }],
    ['from nowhere', { Origin: 'null' }],
    ['that asks for no method', { 'Access-Control-Request-Method': undefined }],
    ['that is a POST', { 'X-Forwarded-Method': 'POST' }],
    ['that is no OPTIONS by its case', { 'X-Forwarded-Method': 'options' }],
  ]
  for (const [what, change] of OTHERS) {
    test(`does not include ${what}`, () => {
      assert.equal(
        answer({ fields: { ...preflight, ...change }, grounds: listed }),
        'deny via none: no-credentials',
      )
    })
  }

  test('does not pass a rule that denies', () => {
    const grounds = { policy: policyOf('deny', 'https://cast.test') }
    assert.equal(answer({ fields: preflight, grounds }), 'deny via none: policy-deny')
  })

  const policy = policyFrom(
    'allow_origins: https://cast.test',
    'rules:',
    '  - {path: /read/*, methods: GET, access: certificate}',
    '  - {path: /write/*, methods: [POST, DELETE], access: certificate}',
    '  - {path: /closed-to-writing/*, methods: POST, access: deny}',
    '  - {path: /adas/*, owner: ada, access: certificate-or-session}',
    '  - {path: /phones/*, device: Phone of Ada, access: certificate-or-session}',
    '  - {path: /shown/*, access: certificate}',
    '  - {path: /asked/*, methods: OPTIONS, access: certificate}',
    '  - {path: /hook/*, methods: POST, access: open}',
    '  - {path: /open/*, access: open}',
    '  - {path: /plain/*, access: certificate-or-session}',
    '  - {path: /home/*, from: 192.0.2.0/24, access: certificate}',
    '  - {host: other.test, access: certificate}',
  )
  const passes = 'allow via rule'
  const nothing = 'deny via none: no-credentials'
  const BY_RULE: readonly (readonly [path: string, method: string, string, HeaderFields?])[] = [
    ['/', 'POST', passes],
    ['/x', 'DELETE', passes],
    ['/x?y=%2f//', 'POST', passes],
    ['/caf%C3%A9', 'POST', passes],
    ['/read/x', 'GET', nothing],
    ['/read/x', 'HEAD', nothing],
    ['/read/x', 'get', nothing],
    ['/read/x', 'POST', passes],
    ['/%72ead/x', 'GET', nothing],
    ['/write/x', 'POST', nothing],
    ['/write/x', 'post', nothing],
    ['/write/x', 'DELETE', nothing],
    ['/write/x', 'PUT', passes],
    ['/closed-to-writing/x', 'POST', nothing],
    ['/closed-to-writing/x', 'GET', passes],
    ['/adas/x', 'GET', nothing],
    ['/phones/x', 'GET', nothing],
    ['/shown/x', 'GET', nothing],
    ['/asked/x', 'GET', nothing],
    ['/hook/x', 'POST', passes],
    ['/hook/x', 'GET', passes],
    ['/open/x', 'PUT', passes],
    ['/plain/x', 'PUT', passes],
    ['/home/x', 'PUT', nothing],
    ['/home/x', 'PUT', passes, { 'X-Forwarded-For': '198.51.100.7' }],
    ['/x', 'PUT', nothing, { 'X-Forwarded-Host': 'other.test' }],
    ['/x//y', 'POST', nothing],
    ['/x/../y', 'POST', nothing],
    ['/x/..%2fy', 'POST', nothing],
    ['/x%2fy', 'POST', nothing],
    ['/x;y', 'POST', nothing],
    ['/x%252e', 'POST', nothing],
    ['/x%00', 'POST', nothing],
    ['/%ff', 'POST', nothing],
    ['/x', 'POST', nothing, { 'Content-Length': '7' }],
    ['/x', 'POST', nothing, { 'Transfer-Encoding': 'chunked' }],
    ['/x', 'POST', nothing, { Upgrade: 'h2c' }],
    ['/open/x', 'POST', passes, { 'Content-Length': '7' }],
  ]
  for (const [path, method, expected, more = {}] of BY_RULE) {
    test(`that asks for ${method} ${path} ${JSON.stringify(more)}: ${expected}`, () => {
      const asked = { 'X-Forwarded-Uri': path, 'Access-Control-Request-Method': method }
      const fields = { ...preflight, ...asked, ...more }
      assert.equal(answer({ fields, grounds: { policy } }), expected)
    })
  }

  test('that does not pass by itself is treated like any other request', () => {
    const asked = { 'X-Forwarded-Uri': '/shown/x', ...preflight }
    const grounds = { policy }
    assert.equal(
      answer({ fields: { ...asked, ...shown('leaf-good') }, grounds }),
      'allow via certificate',
    )
    assert.equal(
      answer({ fields: { ...asked, ...GOOD_SESSION }, grounds }),
      'deny via session: session-not-accepted',
    )
  })

  test('with an ambiguous path does not pass, even without rules', () => {
    const fields = { ...preflight, 'X-Forwarded-Uri': '/x/..%2fy' }
    assert.equal(answer({ fields, grounds: listed }), nothing)
    assert.equal(
      answer({ fields: { ...fields, ...GOOD_SESSION }, grounds: listed }),
      'allow via session',
    )
  })
})

describe('Another site', () => {
  test('that is listed may act on behalf of a device, and only of a device', () => {
    const grounds = { policy: policyOf('certificate-or-session', 'https://cast.test') }
    const fields = { 'X-Forwarded-Method': 'POST', Origin: 'https://cast.test' }
    assert.equal(answer({ fields, grounds }), 'deny via none: no-credentials')
    assert.equal(answer({ fields: { ...fields, ...GOOD_SESSION }, grounds }), 'allow via session')
  })

  test('may link to the application: a cross-site GET passes', () => {
    const fields = { ...GOOD_SESSION, 'Sec-Fetch-Site': 'cross-site' }
    assert.equal(answer({ fields }), 'allow via session')
  })

  test('may not open a WebSocket', () => {
    const fields = {
      ...GOOD_SESSION,
      'X-Forwarded-Proto': 'wss',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    assert.equal(
      answer({ fields: { ...fields, Origin: 'https://evil.test' } }),
      'deny via none: cross-site',
    )
    assert.equal(answer({ fields: { ...fields, Origin: 'https://ha.test' } }), 'allow via session')
  })
})

// --- properties -----------------------------------------------------------------------------------

/** A value of a header, what it is, and how often it is drawn. */
interface Choice<Meaning> {
  readonly value: string | readonly string[] | undefined
  readonly means: Meaning
}
const choice = <Meaning>(
  value: string | readonly string[] | undefined,
  means: Meaning,
): Choice<Meaning> => ({ value, means })

/** The first choice half of the time, so that many requests have but one defect. */
const oftenFirst = <Meaning>([usual, ...others]: readonly [
  Choice<Meaning>,
  ...Choice<Meaning>[],
]): fc.Arbitrary<Choice<Meaning>> =>
  fc.oneof({ weight: others.length * 2, arbitrary: fc.constant(usual) }, fc.constantFrom(...others))

type Origin = 'none' | 'null' | 'foreign' | 'listed' | 'ours' | 'ours-8443' | 'ours-http' | 'two'
type Credential = 'none' | 'good' | 'bad'

const REQUESTS = fc.record({
  trusted: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, fc.constant(false)),
  access: fc.constantFrom<Access>(
    'certificate-or-session',
    'certificate-or-session',
    'certificate',
    'open',
    'deny',
  ),
  method: oftenFirst<'reads' | 'options' | 'writes' | 'broken'>([
    choice('GET', 'reads'),
    choice('HEAD', 'reads'),
    choice('OPTIONS', 'options'),
    choice('POST', 'writes'),
    choice('DELETE', 'writes'),
    choice('get', 'writes'),
    choice('PROPFIND', 'writes'),
    choice('G T', 'broken'),
    choice(undefined, 'broken'),
    choice(['GET', 'GET'], 'broken'),
  ]),
  scheme: oftenFirst<'https' | 'http' | 'broken'>([
    choice('https', 'https'),
    choice('wss', 'https'),
    choice('http', 'http'),
    choice('ftp', 'broken'),
    choice('HTTPS', 'broken'),
    choice(undefined, 'broken'),
  ]),
  host: oftenFirst<'ours' | 'ours-8443' | 'other' | 'broken'>([
    choice('ha.test', 'ours'),
    choice('HA.TEST.', 'ours'),
    choice('ha.test:8443', 'ours-8443'),
    choice('other.test', 'other'),
    choice('ada@ha.test', 'broken'),
    choice('', 'broken'),
    choice(undefined, 'broken'),
  ]),
  uri: oftenFirst<'whole' | 'ambiguous' | 'broken'>([
    choice('/', 'whole'),
    choice('/a/../b?c=%', 'ambiguous'),
    choice('/%2e%2e/', 'ambiguous'),
    choice('/%zz', 'broken'),
    choice('/a#b', 'broken'),
    choice('*', 'broken'),
    choice(undefined, 'broken'),
  ]),
  alias: oftenFirst<boolean>([
    choice(undefined, false),
    choice('Remote_User', true),
    choice('x.forwarded.tls.client.cert', true),
    choice('X_Unknown', false),
  ]),
  origin: oftenFirst<Origin>([
    choice(undefined, 'none'),
    choice('null', 'null'),
    choice('https://evil.test', 'foreign'),
    choice('capacitor://localhost', 'listed'),
    choice('https://ha.test', 'ours'),
    choice('https://ha.test:8443', 'ours-8443'),
    choice('http://ha.test', 'ours-http'),
    choice(['https://ha.test', 'https://evil.test'], 'two'),
  ]),
  fetchSite: oftenFirst<'unknown' | 'own' | 'cross'>([
    choice(undefined, 'unknown'),
    choice('same-origin', 'own'),
    choice('none', 'own'),
    choice('same-site', 'cross'),
    choice('cross-site', 'cross'),
    choice('Same-Origin', 'cross'),
    choice(['same-origin', 'same-origin'], 'cross'),
  ]),
  webSocket: oftenFirst<boolean>([choice(undefined, false), choice('c2FtcGxl', true)]),
  requestMethod: oftenFirst<boolean>([
    choice(undefined, false),
    choice('PUT', true),
    choice('PUT, GET', false),
  ]),
  body: oftenFirst<boolean>([choice(undefined, false), choice('0', false), choice('1', true)]),
  upgrade: oftenFirst<boolean>([choice(undefined, false), choice('h2c', true)]),
  certificate: oftenFirst<Credential>([
    choice(undefined, 'none'),
    choice(certificateHeader('traefik', 'leaf-good'), 'good'),
    choice(certificateHeader('traefik', 'leaf-second', 'ca-p256'), 'good'),
    choice('::', 'bad'),
    choice(certificateHeader('traefik', 'leaf-expired'), 'bad'),
    choice(certificateHeader('traefik', 'leaf-foreign', 'leaf-good'), 'bad'),
    choice(certificateHeader('traefik', 'leaf-name-emoji'), 'bad'),
    choice(`${certificateHeader('traefik', 'leaf-good')},`, 'bad'),
  ]),
  cookies: fc.array(
    fc.constantFrom<readonly [pair: string, meaning: 'good' | 'elsewhere' | 'bad' | 'not ours']>(
      [sessionPair(claimsOf()), 'good'],
      [sessionPair(claimsOf('leaf-good', { host: 'other.test' })), 'elsewhere'],
      [FORGED, 'bad'],
      [EXPIRED, 'bad'],
      [`${COOKIE_NAME}=`, 'bad'],
      [sessionPair(claimsOf(), onlyKey(KEY_RING), 'theirs'), 'not ours'],
    ),
    { maxLength: 6 },
  ),
})

type DrawnRequest = typeof REQUESTS extends fc.Arbitrary<infer Drawn> ? Drawn : never

/** What the contract says, written without a look at how `decide` does it. */
function mayPass(drawn: DrawnRequest): Via | false {
  const broken = [drawn.method, drawn.scheme, drawn.host, drawn.uri].some(
    ({ means }) => means === 'broken',
  )
  const origin = drawn.origin.means
  if (!drawn.trusted || broken || origin === 'two' || drawn.alias.means) return false
  if (drawn.access === 'deny') return false
  const isBare = !drawn.body.means && !drawn.upgrade.means && !drawn.webSocket.means
  const preflight =
    drawn.method.means === 'options' &&
    drawn.requestMethod.means &&
    origin === 'listed' &&
    isBare &&
    drawn.uri.means === 'whole' &&
    drawn.access === 'certificate-or-session'
  if (drawn.access === 'open' || preflight) return 'rule'

  const sameOrigin =
    (origin === 'ours' && drawn.scheme.means === 'https' && drawn.host.means === 'ours') ||
    (origin === 'ours-8443' &&
      drawn.scheme.means === 'https' &&
      (drawn.host.means === 'ours' || drawn.host.means === 'ours-8443')) ||
    (origin === 'ours-http' && drawn.scheme.means === 'http' && drawn.host.means === 'ours')
  const acts = drawn.method.means === 'writes' || drawn.webSocket.means
  const harmless =
    drawn.fetchSite.means === 'unknown'
      ? origin === 'none' || origin === 'listed' || sameOrigin
      : origin === 'listed' ||
        (drawn.fetchSite.means === 'own' && (origin === 'none' || origin === 'null' || sameOrigin))
  if (acts && !harmless) return false

  if (drawn.certificate.means !== 'none') {
    return drawn.certificate.means === 'good' && 'certificate'
  }
  if (drawn.access === 'certificate') return false
  const ours = drawn.cookies.filter(([, meaning]) => meaning !== 'not ours')
  const opening = drawn.host.means === 'other' ? 'elsewhere' : 'good'
  return ours.length <= 4 && ours.some(([, meaning]) => meaning === opening) && 'session'
}

const fieldsOf = (drawn: DrawnRequest): HeaderFields => ({
  'X-Forwarded-Method': drawn.method.value,
  'X-Forwarded-Proto': drawn.scheme.value,
  'X-Forwarded-Host': drawn.host.value,
  'X-Forwarded-Uri': drawn.uri.value,
  ...(typeof drawn.alias.value === 'string' ? { [drawn.alias.value]: 'root' } : {}),
  Origin: drawn.origin.value,
  'Sec-Fetch-Site': drawn.fetchSite.value,
  'Sec-WebSocket-Key': drawn.webSocket.value,
  'Access-Control-Request-Method': drawn.requestMethod.value,
  'Content-Length': drawn.body.value,
  Upgrade: drawn.upgrade.value,
  [CERTIFICATE]: drawn.certificate.value,
  Cookie: drawn.cookies.map(([pair]) => pair),
})

test('A request passes exactly if the contract, written down a second time, allows it', () => {
  const grounds = groundsOf()
  const policies = new Map(
    (['open', 'certificate-or-session', 'certificate', 'deny'] as const).map((access) => [
      access,
      policyOf(access, 'capacitor://localhost', 'null'),
    ]),
  )
  const seen = new Map<Via | false, number>()
  fc.assert(
    fc.property(REQUESTS, (drawn) => {
      const policy = policies.get(drawn.access) ?? CLOSED_POLICY
      const decision = decide(
        question(fieldsOf(drawn), { fromTrustedAddress: drawn.trusted }),
        { ...grounds, policy },
        NOW_SECONDS,
      )
      const expected = mayPass(drawn)
      seen.set(expected, (seen.get(expected) ?? 0) + 1)
      assert.equal(decision.allow && decision.via, expected, describeDecision(decision))
      if (!decision.allow) {
        const ways: readonly Via[] = DENY_REASONS[decision.reason]
        assert.ok(ways.includes(decision.via), describeDecision(decision))
      } else if (decision.via !== 'rule') assert.ok(decision.identity)
    }),
    { numRuns: 3000 },
  )
  assert.deepEqual([...seen.keys()].sort(), ['certificate', false, 'rule', 'session'])
})

const LATIN1 = fc
  .array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 })
  .map((bytes) => String.fromCharCode(...bytes))

/** Names that we read or send, in any case, with any character for a hyphen; and any others. */
const HEADER_NAME = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(
        ...rawHeaders().filter((_, index) => index % 2 === 0),
        CERTIFICATE,
        'Cookie',
        'Origin',
        'Sec-Fetch-Site',
        'Sec-WebSocket-Key',
        'Access-Control-Request-Method',
        'Remote-User',
      ),
      fc.constantFrom('-', '-', '-', '_', '.', '~'),
      fc.boolean(),
    )
    .map(([name, hyphen, lower]) => (lower ? name.toLowerCase() : name).replaceAll('-', hyphen)),
  LATIN1,
)
const HEADER_VALUE = fc.oneof(
  LATIN1,
  fc.constantFrom(
    ...rawHeaders(),
    `${COOKIE_NAME}=v1.e30.AAAA`,
    '%',
    '-----BEGIN CERTIFICATE-----',
  ),
)

test('Any headers lead to a decision; without a secret of ours, the decision is no', () => {
  const grounds = Object.fromEntries(
    (['traefik', 'caddy', 'haproxy', 'nginx'] as const).map((dialect) => [
      dialect,
      { reader: createHeaderReader(DIALECTS[dialect]), grounds: groundsOf({ dialect }) },
    ]),
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(grounds)),
      fc.array(fc.tuple(HEADER_NAME, HEADER_VALUE), { maxLength: 12 }),
      fc.boolean(),
      fc.maxSafeInteger(),
      (proxy, lines, whole, now) => {
        const raw = [...(whole ? rawHeaders() : []), ...lines.flat()]
        const headers = proxy.reader.read(raw)
        const decision = decide({ fromTrustedAddress: true, headers }, proxy.grounds, now)
        assert.equal(decision.allow, false)
      },
    ),
    { numRuns: 2000 },
  )
})

test("No mutation of a good request's certificate or cookie is allowed", () => {
  const certificate = certificateHeader('traefik', 'leaf-good')
  const token = mintToken(claimsOf(), onlyKey(KEY_RING))
  assert.ok(verifyToken(token, KEY_RING).ok)
  const grounds = groundsOf()
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.nat(),
      fc.constantFrom('A', 'B', '-', '_', '+', '/', '=', '.', ',', ' ', '%', '~', ''),
      (ofCertificate, position, replacement) => {
        const text = ofCertificate ? certificate : token
        const at = position % text.length
        const changed = text.slice(0, at) + replacement + text.slice(at + 1)
        fc.pre(changed.trim() !== text)
        const fields = ofCertificate
          ? { [CERTIFICATE]: changed }
          : cookies(`${COOKIE_NAME}=${changed}`)
        assert.equal(decide(question(fields), grounds, NOW_SECONDS).allow, false)
      },
    ),
    { numRuns: 1500 },
  )
})

describe('Signing a device out', () => {
  const signOuts = new Map([[ADA.device, NOW_SECONDS - 10]])

  test('ends the sessions of that device only', () => {
    const before = sessionPair(claimsOf('leaf-good', { certificateSeenAt: NOW_SECONDS - 10 }))
    const after = sessionPair(claimsOf('leaf-good', { certificateSeenAt: NOW_SECONDS - 9 }))
    const grace = sessionPair(claimsOf('leaf-second', { certificateSeenAt: NOW_SECONDS - 10 }))
    const told = (pair: string) => answer({ fields: cookies(pair), grounds: { signOuts } })
    assert.equal(told(before), 'deny via session: session-signed-out')
    assert.equal(told(after), 'allow via session')
    assert.equal(told(grace), 'allow via session')
  })

  test('leaves the certificate, which can create a new session at once', () => {
    const seen = { certificateSeenAt: NOW_SECONDS - 10, issuedAt: NOW_SECONDS - 10 }
    const old = cookies(sessionPair(claimsOf('leaf-good', seen)))
    const decision = allowed({ fields: { ...shown('leaf-good'), ...old }, grounds: { signOuts } })
    assert.equal(decision.setSession?.cause, 'opened')
    assert.equal(decision.setSession?.claims.certificateSeenAt, NOW_SECONDS)
  })

  test('cannot be survived by renewing: a renewed session keeps the time its certificate was seen', () => {
    const nearEnd = { certificateSeenAt: NOW_SECONDS - 3000, expiresAt: NOW_SECONDS + 600 }
    const renewed = allowed({ fields: cookies(sessionPair(claimsOf('leaf-good', nearEnd))) })
    const { claims } = renewed.setSession ?? assert.fail('was not renewed')
    assert.equal(
      answer({ fields: cookies(sessionPair(claims)), grounds: { signOuts } }),
      'deny via session: session-signed-out',
    )
  })
})
