import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DIALECTS, type DialectName } from '../../src/proxy/dialects.ts'
import { readOriginalRequest } from '../../src/proxy/original-request.ts'
import { createHeaderReader, type RequestHeaders } from '../../src/proxy/request-headers.ts'
import { type HeaderFields, rawHeaders, requestHeaders } from '../support/request.ts'

type Field = Exclude<keyof RequestHeaders, 'repeated' | 'alias' | 'tooMany'>

/** Every header that is read under the dialect `traefik`, as proxies and browsers spell it. */
const READ: Readonly<Record<string, Field>> = {
  'X-Forwarded-Method': 'method',
  'X-Forwarded-Proto': 'scheme',
  'X-Forwarded-Host': 'host',
  'X-Forwarded-Uri': 'uri',
  'X-Forwarded-For': 'forwardedFor',
  'X-Forwarded-Tls-Client-Cert': 'certificate',
  Cookie: 'cookie',
  Origin: 'origin',
  'Sec-Fetch-Site': 'secFetchSite',
  'Sec-Fetch-Mode': 'secFetchMode',
  Accept: 'accept',
  'Sec-WebSocket-Key': 'webSocketKey',
  'Sec-WebSocket-Version': 'webSocketVersion',
  'Access-Control-Request-Method': 'requestMethod',
  'X-Certlatch-Proxy-Secret': 'proxySecret',
  'X-Certlatch-Page': 'page',
  'X-Certlatch-Proxy': 'proxy',
  Upgrade: 'upgrade',
  'Content-Length': 'contentLength',
  'Transfer-Encoding': 'transferEncoding',
}

const JOINED: Readonly<Partial<Record<Field, string>>> = {
  forwardedFor: ',',
  cookie: '; ',
  accept: ',',
  secFetchSite: ',',
  secFetchMode: ',',
  upgrade: ',',
  contentLength: ',',
  transferEncoding: ',',
}

const reader = createHeaderReader(DIALECTS.traefik)

describe('A single header', () => {
  for (const [name, field] of Object.entries(READ)) {
    test(`${name} is read, in any case`, () => {
      for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
        const headers = reader.read([spelling, 'the value'])
        assert.equal(headers[field], 'the value')
        assert.equal(headers.alias, false)
        assert.equal(headers.repeated.size, 0)
        for (const other of Object.values(READ)) {
          if (other !== field) assert.equal(headers[other], undefined)
        }
      }
    })

    const separator = JOINED[field]
    if (separator === undefined) {
      test(`${name} must not be sent twice, even with equal values`, () => {
        for (const spelling of [name, name.toLowerCase()]) {
          const headers = reader.read([name, 'one', spelling, 'one'])
          assert.deepEqual([...headers.repeated], [field])
          assert.equal(headers[field], 'one')
        }
      })
    } else {
      test(`${name} may be sent in several lines, which make one value`, () => {
        const headers = reader.read([
          name,
          'one',
          'A',
          'b',
          name.toLowerCase(),
          'two',
          name,
          'three',
        ])
        assert.equal(headers[field], ['one', 'two', 'three'].join(separator))
        assert.equal(headers.repeated.size, 0)
      })
    }
  }

  test('an empty value is a value, and counts when it is repeated', () => {
    assert.equal(requestHeaders({ 'X-Forwarded-Uri': '' }).uri, '')
    assert.deepEqual([...requestHeaders({ 'X-Forwarded-Uri': ['', '/'] }).repeated], ['uri'])
  })

  test('all fields that were sent twice are reported', () => {
    const { repeated } = requestHeaders({ Origin: ['a', 'b'], 'X-Forwarded-Host': ['a', 'b', 'c'] })
    assert.deepEqual([...repeated].sort(), ['host', 'origin'])
  })

  test('a name without a value, which Node never produces, is no value', () => {
    assert.ok(!reader.read(['Origin']).origin)
  })

  test('no headers at all give no fields', () => {
    const { repeated, alias, tooMany, ...fields } = reader.read([])
    assert.equal(repeated.size, 0)
    assert.equal(alias, false)
    assert.equal(tooMany, false)
    assert.ok(Object.values(fields).every((value) => value === undefined))
  })
})

describe('Many headers', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, at) => [`X-${at}`, 'a']).flat()

  test('are read up to 200, and more are reported', () => {
    assert.equal(reader.read(lines(200)).tooMany, false)
    assert.equal(reader.read(lines(201)).tooMany, true)
    assert.equal(reader.read([...lines(199), 'Origin', 'a']).origin, 'a')
    assert.equal(reader.read([...lines(200), 'Origin', 'a']).origin, undefined)
  })

  test('make the request unusable if there are too many', () => {
    const whole = rawHeaders()
    const padded = (count: number) =>
      readOriginalRequest(reader.read([...whole, ...lines(count - whole.length / 2)]))
    assert.ok(padded(200))
    assert.equal(padded(201), undefined)
  })
})

describe('The certificate header', () => {
  const NAMES: Readonly<Record<DialectName, string>> = {
    traefik: 'X-Forwarded-Tls-Client-Cert',
    caddy: 'Client-Cert',
    haproxy: 'Client-Cert',
    nginx: 'X-SSL-Client-Cert',
  }

  for (const [dialect, own] of Object.entries(NAMES) as [DialectName, string][]) {
    test(`is ${own} under ${dialect}, and no other`, () => {
      for (const name of new Set(Object.values(NAMES))) {
        const { certificate, alias } = requestHeaders({ [name]: 'x' }, dialect)
        assert.equal(certificate, name === own ? 'x' : undefined)
        assert.equal(alias, name !== own)
        assert.equal(requestHeaders({ [name]: '' }, dialect).alias, false)
      }
    })

    test(`must not be sent twice under ${dialect}`, () => {
      assert.deepEqual(
        [...requestHeaders({ [own]: ['x', 'x'] }, dialect).repeated],
        ['certificate'],
      )
    })
  }

  test('does not include other TLS headers that proxies know: those are never read', () => {
    const fields: HeaderFields = {
      'X-Forwarded-Tls-Client-Cert-Info': 'Subject="CN=root"',
      'Client-Cert-Chain': ':AAAA:',
      'X-SSL-Client-Verify': 'SUCCESS',
      'X-SSL-Client-S-Dn': 'CN=root',
      'X-Forwarded-Client-Cert': 'Cert="x"',
      'X-Client-Verified': 'true',
    }
    assert.deepEqual(requestHeaders(fields), requestHeaders())
  })

  test('may be set to another name, even to one that is otherwise ignored', () => {
    for (const certificateHeader of ['x-my-cert', 'via', 'x-real-ip']) {
      const own = createHeaderReader({ ...DIALECTS.caddy, certificateHeader })
      assert.equal(own.read([certificateHeader, 'x']).certificate, 'x')
      assert.equal(own.read([certificateHeader.toUpperCase(), 'x']).certificate, 'x')
      assert.equal(own.read(['Client-Cert', 'x']).certificate, undefined)
      assert.equal(own.read(['Client-Cert', 'x']).alias, true)
    }
  })
})

describe('A look-alike', () => {
  const ALIASES: readonly (readonly [string, DialectName])[] = [
    ['Remote_User', 'traefik'],
    ['remote.user', 'traefik'],
    ['Remote~User', 'traefik'],
    ['REMOTE_USER', 'traefik'],
    ['Remote!User', 'traefik'],
    ['Remote+User', 'traefik'],
    ["Remote'User", 'traefik'],
    ['Remote|User', 'traefik'],
    ['X_Certlatch_Device', 'traefik'],
    ['X-Certlatch_Via', 'traefik'],
    ['X_Forwarded_Uri', 'traefik'],
    ['X.Forwarded.Uri', 'traefik'],
    ['X-Forwarded_Host', 'traefik'],
    ['x_forwarded_proto', 'traefik'],
    ['X_Forwarded_Method', 'traefik'],
    ['X_Forwarded_For', 'traefik'],
    ['X-Forwarded-Tls-Client_Cert', 'traefik'],
    ['Client_Cert', 'caddy'],
    ['Client.Cert', 'haproxy'],
    ['X-SSL_Client-Cert', 'nginx'],
    ['X_SSL_CLIENT_CERT', 'nginx'],
    ['X_Certlatch_Proxy_Secret', 'traefik'],
    ['X_Certlatch_Proxy', 'caddy'],
    ['Client_Cert', 'traefik'],
    ['client.cert', 'nginx'],
    ['X_SSL_CLIENT_CERT', 'caddy'],
    ['X.Forwarded.Tls.Client.Cert', 'haproxy'],
    ['X-Certlatch.Page', 'nginx'],
    ['Sec_Fetch_Site', 'traefik'],
    ['Sec_WebSocket_Key', 'traefik'],
    ['Access_Control_Request_Method', 'traefik'],
  ]
  for (const [name, dialect] of ALIASES) {
    test(`${name} is recognised under ${dialect}, and not read`, () => {
      const headers = requestHeaders({ [name]: 'x' }, dialect)
      assert.equal(headers.alias, true)
      assert.deepEqual({ ...headers, alias: false }, requestHeaders({}, dialect))
    })
  }

  const OTHERS: readonly (readonly [string, DialectName])[] = [
    ['Remote-User', 'traefik'],
    ['RemoteUser', 'traefik'],
    ['Remote_User_Agent', 'traefik'],
    ['X_Requested_With', 'traefik'],
    ['Remote__User', 'traefik'],
    ['_Remote_User', 'traefik'],
    ['X_Real_Ip', 'traefik'],
    ['Client_Cert_Chain', 'traefik'],
    ['Coo_kie', 'traefik'],
    ['', 'traefik'],
  ]
  for (const [name, dialect] of OTHERS) {
    test(`is not seen in ${JSON.stringify(name)} under ${dialect}`, () => {
      assert.deepEqual(requestHeaders({ [name]: 'x' }, dialect), requestHeaders({}, dialect))
    })
  }

  test('is found at any position', () => {
    const lines = rawHeaders()
    for (let position = 0; position <= lines.length; position += 2) {
      const raw = [...lines.slice(0, position), 'Remote_User', 'root', ...lines.slice(position)]
      assert.equal(reader.read(raw).alias, true)
    }
  })
})

test('What browsers send with every request changes nothing', () => {
  const ordinary: HeaderFields = {
    Host: 'certlatch:9180',
    Connection: 'keep-alive',
    'User-Agent': 'Mozilla/5.0',
    'Accept-Encoding': 'gzip, br',
    'Accept-Language': 'de',
    'Sec-Ch-Ua': '"Chromium"',
    'X-Forwarded-Port': '443',
    'X-Forwarded-Server': 'x',
    'X-Real-Ip': '192.0.2.7',
    'X-Forwarded-Prefix': '/admin',
    Forwarded: 'host=evil.test',
    'X-Original-Url': '/evil',
    'X-Rewrite-Url': '/evil',
    'X-HTTP-Method-Override': 'DELETE',
    Authorization: 'Bearer x',
  }
  assert.deepEqual(requestHeaders(ordinary), requestHeaders())
})

test('The case of a name never matters, whatever it is', () => {
  const names = [...Object.keys(READ), 'Remote_User', 'X-Else', 'Via', 'X.Forwarded.Uri']
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.constantFrom(...names).chain((name) => fc.mixedCase(fc.constant(name))),
          fc.string(),
        ),
      ),
      (lines) => {
        const lower = lines.flatMap(([name, value]) => [name.toLowerCase(), value])
        assert.deepEqual(reader.read(lines.flat()), reader.read(lower))
      },
    ),
  )
})

test('Names that are not ours change nothing when a client adds them', () => {
  const known = new Set([...Object.keys(READ)].map((name) => name.toLowerCase()))
  const token = fc.stringMatching(/^[A-Za-z0-9-]{1,30}$/)
  fc.assert(
    fc.property(fc.array(fc.tuple(token, fc.string())), (lines) => {
      const others = lines.filter(([name]) => !known.has(name.toLowerCase()))
      assert.deepEqual(reader.read([...rawHeaders(), ...others.flat()]), requestHeaders())
    }),
  )
})
