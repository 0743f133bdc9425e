import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { loadConfig, processEnvironment } from '../../src/config/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'certlatch-load-'))
after(() => rmSync(folder, { recursive: true }))

function fileWith(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function configOf(environment: NodeJS.ProcessEnv) {
  const loaded = loadConfig(environment)
  assert.ok(loaded.ok, loaded.ok ? '' : loaded.problems.join('\n'))
  return loaded.config
}

function problemsOf(environment: NodeJS.ProcessEnv): readonly string[] {
  const loaded = loadConfig(environment)
  assert.ok(!loaded.ok)
  return loaded.problems
}

const SECRET = 'Zq7!x9w#Lm2$Pf8%'

test('The environment is that of the process', () => {
  assert.equal(processEnvironment(), process['env'])
})

test('Variables of other programs are ignored', () => {
  const config = configOf({ PATH: '/bin', certlatch_listen: 'x', XCERTLATCH_LISTEN: 'x' })
  assert.equal(config.listen.port, 9180)
})

describe('A secret from a file', () => {
  for (const [what, content] of [
    ['without a line break', SECRET],
    ['with a final line feed', `${SECRET}\n`],
    ['with a final carriage return and line feed', `${SECRET}\r\n`],
  ] as const) {
    test(`is read ${what}`, () => {
      const path = fileWith('secret', content)
      const config = configOf({
        CERTLATCH_PROXY_SECRET_FILE: path,
        CERTLATCH_METRICS_TOKEN_FILE: path,
      })
      assert.equal(config.proxySecret, SECRET)
      assert.equal(config.metricsToken, SECRET)
    })
  }
  test('loses exactly one trailing line break', () => {
    const path = fileWith('two-lines', `${SECRET}\n\n`)
    assert.deepEqual(problemsOf({ CERTLATCH_PROXY_SECRET_FILE: path }), [
      'CERTLATCH_PROXY_SECRET has 17 characters: expected at least 16 printable ASCII characters without spaces',
    ])
  })
  test('is an error if the variable is set as well', () => {
    const path = fileWith('secret', SECRET)
    assert.deepEqual(
      problemsOf({ CERTLATCH_PROXY_SECRET: SECRET, CERTLATCH_PROXY_SECRET_FILE: path }),
      ['CERTLATCH_PROXY_SECRET and CERTLATCH_PROXY_SECRET_FILE are both set: remove one of them'],
    )
  })
  for (const [what, path, problem] of [
    ['is missing', join(folder, 'none'), 'there is no such file'],
    ['lies below a file', join(fileWith('plain', 'x'), 'a'), 'there is no such file'],
    ['is a directory', folder, 'expected a file, but it is a directory'],
    ['is empty', fileWith('empty', ''), 'the file is empty'],
    ['is a line break', fileWith('blank', '\n'), 'the file is empty'],
    ['cannot be named', '/\0', 'the file cannot be read (ERR_INVALID_ARG_VALUE)'],
  ] as const) {
    test(`is an error if the file ${what}`, () => {
      assert.deepEqual(problemsOf({ CERTLATCH_PROXY_SECRET_FILE: path }), [
        `CERTLATCH_PROXY_SECRET_FILE is "${path.replace('\0', '\\u{0}')}": ${problem}`,
      ])
    })
  }
  test('is an error if the path is empty', () => {
    assert.deepEqual(problemsOf({ CERTLATCH_METRICS_TOKEN_FILE: '' }), [
      'CERTLATCH_METRICS_TOKEN_FILE is empty: remove it or give it a path',
    ])
  })
})

describe('An unknown name', () => {
  for (const [name, hint] of [
    ['CERTLATCH_SESION_TTL', 'did you mean CERTLATCH_SESSION_TTL?'],
    ['CERTLATCH_TRUSTED_PROXY', 'did you mean CERTLATCH_TRUSTED_PROXIES?'],
    ['CERTLATCH_PROXY_SECRETS_FILE', 'did you mean CERTLATCH_PROXY_SECRET_FILE?'],
    ['CERTLATCH_LOGLEVEL', 'did you mean CERTLATCH_LOG_LEVEL?'],
    ['CERTLATCH_SESSION_TTL_FILE', 'only secrets are read from a file; set CERTLATCH_SESSION_TTL'],
    ['CERTLATCH_CA_FILE_FILE', 'only secrets are read from a file; set CERTLATCH_CA_FILE'],
    ['CERTLATCH_', 'certlatch serve --help lists all'],
    ['CERTLATCH_VERBOSE_OUTPUT', 'certlatch serve --help lists all'],
    ['CERTLATCH_PORT', 'certlatch serve --help lists all'],
    [
      'CERTLATCH_WORKERS',
      'certlatch is one process; for several, run replicas (deploy/compose/scale.yml or deploy/kubernetes)',
    ],
  ] as const) {
    test(`${name} is reported: ${hint}`, () => {
      assert.deepEqual(problemsOf({ [name]: 'hunter2' }), [`${name} is not a setting: ${hint}`])
    })
  }
  test('is reported even without a value', () => {
    assert.deepEqual(problemsOf({ CERTLATCH_PORT: undefined }), [
      'CERTLATCH_PORT is not a setting: certlatch serve --help lists all',
    ])
  })
  test('is reported together with everything else that is wrong', () => {
    assert.deepEqual(
      problemsOf({
        CERTLATCH_PROXI: 'caddy',
        CERTLATCH_METRICS_TOKEN_FILE: '',
        CERTLATCH_LOG_LEVEL: 'loud',
        CERTLATCH_ABSURDITY: '1',
      }),
      [
        'CERTLATCH_ABSURDITY is not a setting: certlatch serve --help lists all',
        'CERTLATCH_PROXI is not a setting: did you mean CERTLATCH_PROXY?',
        'CERTLATCH_METRICS_TOKEN_FILE is empty: remove it or give it a path',
        'CERTLATCH_LOG_LEVEL is "loud": expected debug, info, warn or error',
      ],
    )
  })
})

test('That Kubernetes or the revocation hook put into the environment is fine', () => {
  const injected: NodeJS.ProcessEnv = {
    CERTLATCH_REVOKED_DEVICE: "Ada's phone",
    CERTLATCH_REVOKED_SERIAL: '01',
  }
  for (const service of ['CERTLATCH', 'CERTLATCH_ADMIN', 'CERTLATCH_2']) {
    Object.assign(injected, {
      [`${service}_SERVICE_HOST`]: '10.43.0.7',
      [`${service}_SERVICE_PORT`]: '9180',
      [`${service}_SERVICE_PORT_VERIFY_HTTP`]: '9180',
      [`${service}_PORT`]: 'tcp://10.43.0.7:9180',
      [`${service}_PORT_9180_TCP`]: 'tcp://10.43.0.7:9180',
      [`${service}_PORT_9180_TCP_PROTO`]: 'tcp',
      [`${service}_PORT_9180_TCP_PORT`]: '9180',
      [`${service}_PORT_9180_TCP_ADDR`]: '10.43.0.7',
    })
  }
  assert.equal(configOf(injected).listen.port, 9180)
})

test('No environment makes loadConfig throw, and the value of a secret is never shown', () => {
  const names = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }).map((text) => `CERTLATCH_${text}`),
    fc.constantFrom('CERTLATCH_PROXY_SECRET', 'CERTLATCH_METRICS_TOKEN', 'CERTLATCH_PROXY_SECERT'),
  )
  const environments = fc.dictionary(
    names.filter((name) => !name.endsWith('_FILE')),
    fc.string({ unit: 'binary', maxLength: 30 }).map((text) => `¤${text}`),
  )
  fc.assert(
    fc.property(environments, (environment) => {
      const loaded = loadConfig(environment)
      const told = loaded.ok ? [] : loaded.problems
      for (const line of told) {
        assert.doesNotMatch(line, /\p{Cc}/u)
        if (/SECRET|SECERT|TOKEN/.test(line)) assert.ok(!line.includes('¤'))
      }
    }),
  )
})
