import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createSecureContext } from 'node:tls'
import { writeProfile } from '../../src/enrollment/profile.ts'
import { claimPackages } from './support/invited-packages.ts'
import {
  type Answer,
  ask,
  FRIENDLY_NAME,
  makeHousehold,
  type Package,
  REASONS,
} from './support/packages.ts'
import { findProgram, repositoryFolder } from './support/tools.ts'

const household = makeHousehold()
after(() => household.close())
const { authority, revocationList, folder, leaves, revoked } = household
const invited = await claimPackages(folder)
const packages = [...household.packages, ...invited.packages]
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** A reader of packages: it has looked well, or its complaint. */
interface Importer {
  readonly name: string
  readonly skip?: string | false
  /** Fails where the package does not hold what it should. */
  readonly read: (pack: Package) => void
  /** Tested with fewer passwords, because each attempt takes seconds. */
  readonly slow?: boolean
  /** What it is known not to read, and what it then says. */
  readonly cannot?: (pack: Package) => RegExp | undefined
}

function assertAnswer(answer: Answer): string {
  assert.ok(answer.ok, answer.text)
  return answer.output
}

/** That PEM blocks of certificate and key in the text are those that were packed. */
function assertHolds(text: string, { certificate, privateKey }: Package): void {
  const [pem = ''] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? []
  assert.ok(new X509Certificate(pem).raw.equals(certificate), 'the certificate')
  const [key = ''] =
    /-----BEGIN (EC |RSA )?PRIVATE KEY-----[^-]+-----END [^-]+-----/.exec(text) ?? []
  assertSameKey(createPrivateKey(key), privateKey)
}

const assertSameKey = (key: KeyObject, expected: KeyObject): void =>
  assert.ok(createPublicKey(key).equals(createPublicKey(expected)), 'the key')

let folders = 0
function newFolder(): string {
  folders += 1
  const path = join(folder, `work-${folders}`)
  mkdirSync(path)
  return path
}

// --- Importers ----------------------------------------------------------------------------------------

function readWithOpenssl(pack: Package, ...options: readonly string[]): void {
  const password = ['-passin', `pass:${pack.password}`]
  const answer = ask('openssl', 'pkcs12', '-in', pack.file, ...password, '-nodes', ...options)
  assertHolds(assertAnswer(answer), pack)
}

/** Into a new NSS database, as Firefox, Chromium and Thunderbird keep one. */
function readWithNss({ file, password, certificate }: Package): void {
  const database = `sql:${newFolder()}`
  assertAnswer(ask('certutil', '-N', '-d', database, '--empty-password'))
  assertAnswer(ask('pk12util', '-i', file, '-d', database, '-W', password))
  const pem = assertAnswer(ask('certutil', '-L', '-d', database, '-n', FRIENDLY_NAME, '-a'))
  assert.ok(new X509Certificate(pem).raw.equals(certificate), 'the certificate')
  const keys = assertAnswer(ask('certutil', '-K', '-d', database))
  assert.match(keys, new RegExp(`(ec|rsa) +[0-9a-f]{40} +${FRIENDLY_NAME}`))
}

function readWithGnutls(pack: Package): void {
  const { file, password } = pack
  const options = ['--p12-info', '--inder', '--infile', file, '--password', password]
  const answer = ask('certtool', ...options)
  const output = assertAnswer(answer)
  assert.match(answer.text, new RegExp(`Friendly name: ${FRIENDLY_NAME}`))
  // It prints the key encrypted, under the same password.
  const [pem = ''] =
    /-----BEGIN ENCRYPTED PRIVATE KEY-----[^-]+-----END [^-]+-----/.exec(output) ?? []
  const key = createPrivateKey({ key: pem, passphrase: password }).export({
    type: 'pkcs8',
    format: 'pem',
  })
  assertHolds(`${output}\n${key}`, pack)
}

/** Copies it with keytool into a Java key store, which OpenSSL then opens. */
function readWithKeytool(pack: Package, ...provider: readonly string[]): void {
  const copy = join(newFolder(), 'copy.p12')
  const source = [
    '-srckeystore',
    pack.file,
    '-srcstoretype',
    'PKCS12',
    '-srcstorepass',
    pack.password,
  ]
  const target = ['-destkeystore', copy, '-deststoretype', 'PKCS12', '-deststorepass', 'changeit']
  const answer = ask('keytool', '-importkeystore', '-noprompt', ...source, ...provider, ...target)
  assertAnswer(answer)
  assert.ok(answer.text.toLowerCase().includes(`alias ${FRIENDLY_NAME.toLowerCase()} success`))
  readWithOpenssl({ ...pack, file: copy, password: 'changeit' })
}

/** Android's own reader of PKCS #12. */
const BOUNCY_CASTLE = '/usr/share/java/bcprov.jar'
const BOUNCY_CASTLE_PROVIDER = [
  ...['-srcprovidername', 'BC', '-providerpath', BOUNCY_CASTLE],
  ...['-providerclass', 'org.bouncycastle.jce.provider.BouncyCastleProvider'],
]

// --- Judges in other languages: one run for everything -------------------------------------------------

const judgesFolder = join(repositoryFolder(), 'test/e2e/support/judges')
const requestFile = join(folder, 'request.json')
writeFileSync(
  requestFile,
  JSON.stringify({
    Packages: packages.map(({ file, password, derFile }) => ({
      File: file,
      Password: password,
      Certificate: derFile,
    })),
    Authority: authority.derFile,
    RevocationList: revocationList.derFile,
    Certificates: [...leaves, ...revoked].map(({ derFile }) => derFile),
    At: household.nowSeconds,
  }),
)

/** Texts are problems, empty ones none. */
interface GoReport {
  readonly X: readonly string[]
  readonly Sslmate: readonly string[]
  readonly Verified: readonly string[]
  readonly Revoked: readonly boolean[]
  readonly List: string
  readonly Lints: Readonly<Record<string, string>>
  readonly ListLints: Readonly<Record<string, string>>
  readonly Asked: number
}

interface PythonReport {
  readonly packages: readonly string[]
  readonly verified: readonly string[] | null
  readonly revoked: readonly boolean[]
  readonly listSigned: boolean
  readonly reasons: readonly (string | null)[]
}

type Judged<Report> = { readonly report: Report } | { readonly skip: string }

function judgeWithGo(): Judged<GoReport> {
  const program = join(folder, 'judges')
  try {
    const built = ask(findProgram('go'), 'build', '-C', judgesFolder, '-o', program, '.')
    if (!built.ok) return { skip: `go cannot build it: ${built.text.trim().split('\n').at(-1)}` }
  } catch {
    return { skip: 'needs go on the PATH' }
  }
  return { report: JSON.parse(assertAnswer(ask(program, requestFile))) as GoReport }
}

function judgeWithPython(): Judged<PythonReport> {
  const script = join(judgesFolder, 'pyca.py')
  const pythons = ['python3', '/usr/bin/python3'].filter(
    (python) => ask(python, '-c', 'import cryptography').ok,
  )
  const [python] = pythons
  if (python === undefined) return { skip: 'needs python3 with cryptography' }
  return { report: JSON.parse(assertAnswer(ask(python, script, requestFile))) as PythonReport }
}

const go = judgeWithGo()
const python = judgeWithPython()
const skipOf = (judged: Judged<unknown>): string | false => ('skip' in judged ? judged.skip : false)

/** The complaint about this package in a report's list, as a failure. */
function readReport(problems: readonly string[] | undefined, pack: Package): void {
  const problem = problems?.[packages.indexOf(pack)]
  assert.equal(problem, '', problem)
}

const IMPORTERS: readonly Importer[] = [
  { name: 'OpenSSL', read: (pack) => readWithOpenssl(pack) },
  { name: 'OpenSSL with -legacy', read: (pack) => readWithOpenssl(pack, '-legacy') },
  { name: 'NSS', read: readWithNss },
  { name: 'GnuTLS', read: readWithGnutls },
  {
    name: 'keytool',
    slow: true,
    read: (pack) => readWithKeytool(pack),
    // Java takes passwords byte by byte, and only ASCII is the same then.
    cannot: ({ passwordKind }) =>
      passwordKind === 'generated' ? undefined : /keystore password was incorrect/,
  },
  {
    name: 'Bouncy Castle',
    slow: true,
    skip: existsSync(BOUNCY_CASTLE) ? false : 'needs libbcprov-java',
    read: (pack) => readWithKeytool(pack, ...BOUNCY_CASTLE_PROVIDER),
  },
  {
    name: "Python's cryptography",
    skip: skipOf(python),
    read: (pack) => readReport('report' in python ? python.report.packages : undefined, pack),
  },
  {
    name: "Go's software.sslmate.com/src/go-pkcs12",
    skip: skipOf(go),
    read: (pack) => readReport('report' in go ? go.report.Sslmate : undefined, pack),
    // It has no surrogates.
    cannot: ({ passwordKind }) => (passwordKind === 'emoji' ? /UCS-2/ : undefined),
  },
  {
    name: "Go's golang.org/x/crypto/pkcs12",
    skip: skipOf(go),
    read: (pack) => readReport('report' in go ? go.report.X : undefined, pack),
    // It is frozen: nothing newer than SHA-1.
    cannot: ({ form, passwordKind }) => {
      if (passwordKind === 'emoji') return /UCS-2/
      return form === 'modern' ? /unknown digest algorithm/ : undefined
    },
  },
  {
    name: 'Node',
    read: ({ bytes, password }) => {
      createSecureContext({ pfx: bytes, passphrase: password })
      assert.throws(() => createSecureContext({ pfx: bytes, passphrase: `${password}x` }), /mac/)
    },
  },
]

for (const { name, skip = false, slow = false, read, cannot } of IMPORTERS) {
  for (const pack of packages) {
    if (slow && pack.passwordKind === 'emoji') continue
    const complaint = cannot?.(pack)
    if (complaint === undefined) {
      test(`${name} opens the package: ${pack.name}`, { skip }, () => read(pack))
    } else {
      test(`${name} is known not to open the package: ${pack.name}`, { skip }, () => {
        assert.throws(() => read(pack), complaint)
      })
    }
  }
}

// --- Profiles -----------------------------------------------------------------------------------------

const [firstPackage] = packages
assert.ok(firstPackage !== undefined)
const [invitedPackage] = invited.packages
assert.ok(invitedPackage !== undefined)
const profileFile = join(folder, 'device.mobileconfig')
writeFileSync(
  profileFile,
  writeProfile({
    deviceName: '<Ada> & "Grace" 📱',
    deviceId: '1b4e28ba-2fa1-41d2-883f-0016d3cca427',
    organization: 'Home Device CA',
    fileName: 'device.p12',
    pkcs12: firstPackage.bytes,
  }),
)

const PROFILES = [
  {
    ...{ name: 'a profile', device: '<Ada> & "Grace" 📱', password: undefined },
    ...{ file: profileFile, pack: firstPackage },
  },
  {
    ...{ name: 'the profile of an invitation', device: FRIENDLY_NAME },
    // Only the device itself gets it, so no one has to type the password.
    ...{ file: invited.profileFile, pack: invitedPackage, password: invitedPackage.password },
  },
] as const

/** Keys by payload type that Apple documents, without those for managed devices only. */
const COMMON_KEYS = [
  ...['PayloadDescription', 'PayloadDisplayName', 'PayloadIdentifier', 'PayloadOrganization'],
  ...['PayloadType', 'PayloadUUID', 'PayloadVersion', 'PayloadContent'],
]
const DOCUMENTED: Readonly<Record<string, readonly string[]>> = {
  Configuration: [
    ...COMMON_KEYS,
    'PayloadExpirationDate',
    'PayloadRemovalDisallowed',
    'PayloadScope',
  ],
  'com.apple.security.pkcs12': [
    ...[...COMMON_KEYS, 'PayloadCertificateFileName', 'Password'],
    ...['AllowAllAppsAccess', 'KeyIsExtractable'],
  ],
}
const REQUIRED = [
  'PayloadType',
  'PayloadVersion',
  'PayloadIdentifier',
  'PayloadUUID',
  'PayloadContent',
]

interface Payload {
  readonly PayloadType: string
  readonly PayloadVersion: number
  readonly PayloadUUID: string
  readonly PayloadDisplayName: string
  readonly Password?: string
  /** Base64 of data, payloads of a profile. */
  readonly PayloadContent: string | readonly Payload[]
}

/** A property list as Python's plistlib reads it, data as base64. */
function readWithPlistlib(file: string): Payload {
  const script = [
    'import base64, json, plistlib, sys',
    'profile = plistlib.load(open(sys.argv[1], "rb"))',
    'print(json.dumps(profile, default=lambda data: base64.b64encode(data).decode()))',
  ].join('\n')
  return JSON.parse(assertAnswer(ask('python3', '-c', script, file))) as Payload
}

for (const { name, file, device, pack, password } of PROFILES) {
  test(`xmllint finds ${name} well-formed`, () => {
    assertAnswer(ask('xmllint', '--nonet', '--noout', file))
  })

  test(`plistutil reads ${name}, and writes an equivalent binary one`, () => {
    const binary = join(newFolder(), 'device.plist')
    assertAnswer(ask('plistutil', '-i', file, '-o', binary))
    assert.equal(readFileSync(binary).toString('latin1', 0, 8), 'bplist00')
    assert.deepEqual(readWithPlistlib(binary), readWithPlistlib(file))
  })

  test(`Python reads ${name} with the payloads that Apple documents, and the package opens`, () => {
    const profile = readWithPlistlib(file)
    const payloads = profile.PayloadContent as readonly Payload[]
    const all = [profile, ...payloads]
    assert.deepEqual(
      all.map(({ PayloadType }) => PayloadType),
      ['Configuration', 'com.apple.security.pkcs12'],
    )
    for (const payload of all) {
      const keys = Object.keys(payload)
      const documented = DOCUMENTED[payload.PayloadType] ?? []
      assert.deepEqual(
        keys.filter((key) => !documented.includes(key)),
        [],
      )
      assert.deepEqual(
        REQUIRED.filter((key) => !keys.includes(key)),
        [],
      )
      assert.equal(payload.PayloadVersion, 1)
    }
    assert.equal(new Set(all.map(({ PayloadUUID }) => PayloadUUID)).size, 2)
    const [identity] = payloads
    assert.equal(identity?.PayloadDisplayName, device)
    assert.equal(identity?.Password, password)
    const extracted = join(newFolder(), 'extracted.p12')
    writeFileSync(extracted, Buffer.from(String(identity?.PayloadContent), 'base64'))
    readWithOpenssl({ ...pack, file: extracted })
  })
}

// --- Certificates and lists ---------------------------------------------------------------------------

test('OpenSSL, strict, finds the certificates valid and those on the CRL revoked', () => {
  const files = ['-CAfile', authority.pemFile, '-CRLfile', revocationList.pemFile]
  const options = [...files, '-crl_check', '-x509_strict', '-check_ss_sig', '-purpose', 'sslclient']
  for (const { pemFile } of leaves) assertAnswer(ask('openssl', 'verify', ...options, pemFile))
  for (const { pemFile } of revoked) {
    const answer = ask('openssl', 'verify', ...options, pemFile)
    assert.match(answer.text, /error 23 at 0 depth lookup: certificate revoked/)
  }
})

test('GnuTLS finds the certificates valid and those on the CRL revoked', () => {
  const options = [
    ...['--verify', '--load-ca-certificate', authority.pemFile],
    ...['--load-crl', revocationList.pemFile, '--verify-purpose', CLIENT_AUTH],
  ]
  for (const { pemFile } of leaves) {
    assert.match(assertAnswer(ask('certtool', ...options, '--infile', pemFile)), /Verified/)
  }
  for (const { pemFile } of revoked) {
    const answer = ask('certtool', ...options, '--infile', pemFile)
    assert.ok(!answer.ok)
    assert.match(answer.text, /revoked/)
  }
})

test('NSS finds the certificates valid and those on the CRL revoked', () => {
  const database = `sql:${newFolder()}`
  assertAnswer(ask('certutil', '-N', '-d', database, '--empty-password'))
  const add = (name: string, trust: string, file: string) =>
    assertAnswer(ask('certutil', '-A', '-d', database, '-n', name, '-t', trust, '-i', file))
  const verify = (name: string) =>
    ask('certutil', '-V', '-d', database, '-n', name, '-u', 'C', '-e')
  add('ca', 'TC,,', authority.derFile)
  assertAnswer(ask('crlutil', '-I', '-d', database, '-i', revocationList.derFile))
  for (const [index, { derFile }] of leaves.entries()) {
    add(`leaf-${index}`, ',,', derFile)
    assertAnswer(verify(`leaf-${index}`))
  }
  for (const [index, { derFile }] of revoked.entries()) {
    add(`revoked-${index}`, ',,', derFile)
    const answer = verify(`revoked-${index}`)
    assert.ok(!answer.ok)
    assert.match(answer.text, /revoked/)
  }
})

const goods = [...leaves.map(() => false), ...revoked.map(() => true)]

test('Go finds the certificates valid, the CRL signed, and the revoked ones on it', {
  skip: skipOf(go),
}, () => {
  assert.ok('report' in go)
  assert.deepEqual(
    go.report.Verified,
    goods.map(() => ''),
  )
  assert.equal(go.report.List, '')
  assert.deepEqual(go.report.Revoked, goods)
})

test('zlint has no findings on certificates, CA and CRL', { skip: skipOf(go) }, () => {
  assert.ok('report' in go)
  assert.deepEqual(go.report.Lints, {})
  assert.deepEqual(go.report.ListLints, {})
  assert.ok(go.report.Asked > 100)
})

test('Python finds the CRL signed, the revoked certificates on it, and their reasons', {
  skip: skipOf(python),
}, () => {
  assert.ok('report' in python)
  assert.ok(python.report.listSigned)
  assert.deepEqual(python.report.revoked, goods)
  assert.deepEqual(
    python.report.reasons,
    REASONS.map((reason) => reason ?? null),
  )
})

test('Python finds the certificates valid for clients', {
  skip:
    'report' in python && python.report.verified !== null
      ? false
      : 'needs cryptography 45, which verifies clients',
}, () => {
  assert.ok('report' in python)
  assert.deepEqual(
    python.report.verified,
    goods.map(() => ''),
  )
})
