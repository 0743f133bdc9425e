import { execFileSync } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from './tools.ts'

/** A certificate with its key, PEM. */
export interface Credential {
  readonly certificate: string
  readonly key: string
}

export const CREDENTIALS = [
  'ada',
  'grace',
  'lost',
  'expired',
  'foreign',
  'revoked',
  'wrong-usage',
  'large',
] as const
export type CredentialName = (typeof CREDENTIALS)[number]

/** What the identity header says for the good ones. */
export const IDENTITIES = { ada: "Ada's phone 📱", grace: 'grace@example.org' } as const

/** A household's CA and its certificates, made by OpenSSL. */
export interface Pki {
  readonly authorityFile: string
  readonly revocationListFile: string
  readonly server: Credential
  readonly serverCertificateFile: string
  readonly serverKeyFile: string
  /** Both in one file. */
  readonly serverBundleFile: string
  credential(name: CredentialName): Credential
  /** Revokes it in a new CRL that replaces the file; answers its number, decimal. */
  revoke(name: CredentialName): string
}

/** In base64, too large for HAProxy to pass on; from an untrusted CA, as anyone can make one. */
const LONG_NAMES = Array.from({ length: 400 }, (_, index) => `DNS:${'x'.repeat(50)}${index}`).join()

const configuration = (folder: string): string => `
[ca]
default_ca = household
[household]
database = ${folder}/index.txt
new_certs_dir = ${folder}
serial = ${folder}/serial
crlnumber = ${folder}/crlnumber
certificate = ${folder}/ca.crt
private_key = ${folder}/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
email_in_dn = no
[any]
commonName = supplied
[req]
distinguished_name = asked
string_mask = utf8only
[asked]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
[device]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[person]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = email:${IDENTITIES.grace}
authorityKeyIdentifier = keyid
[wrong-usage]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
[large]
subjectAltName = ${LONG_NAMES}
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:home.example, DNS:other.example
`

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const
const AUTHORITY_NAME = '/CN=The household'

export function makePki(folder: string): Pki {
  const openssl = findProgram('openssl')
  const file = (name: string) => join(folder, name)
  const run = (...args: readonly string[]) =>
    execFileSync(openssl, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const config = file('openssl.cnf')
  const selfSigned = (name: string, subject: string, section: string) =>
    run(
      ...['req', '-config', config, '-utf8', '-x509', ...KEY, '-days', '30', '-subj', subject],
      ...['-extensions', section, '-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)],
    )
  const request = (name: string, commonName: string) =>
    run(
      ...['req', '-config', config, '-utf8', '-new', ...KEY, '-subj', `/CN=${commonName}`],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.csr`)],
    )
  const issue = (name: string, section: string, ...more: readonly string[]) =>
    run(
      ...['ca', '-config', config, '-batch', '-utf8', '-notext', '-extensions', section],
      ...['-in', file(`${name}.csr`), '-out', file(`${name}.crt`), ...more],
    )

  writeFileSync(config, configuration(folder))
  writeFileSync(file('index.txt'), '')
  writeFileSync(file('serial'), '1001\n')
  writeFileSync(file('crlnumber'), '2A\n')
  selfSigned('ca', AUTHORITY_NAME, 'authority')
  selfSigned('foreign-ca', AUTHORITY_NAME, 'authority')
  selfSigned('server', '/CN=home.example', 'server')
  selfSigned('large', '/CN=ada', 'large')
  for (const name of CREDENTIALS.filter((one) => one !== 'large'))
    request(name, name === 'ada' ? IDENTITIES.ada : name)
  for (const name of ['ada', 'lost', 'revoked']) issue(name, 'device')
  issue('grace', 'person')
  issue('wrong-usage', 'wrong-usage')
  issue('expired', 'device', '-startdate', '20260101000000Z', '-enddate', '20260201000000Z')
  issue('foreign', 'device', '-cert', file('foreign-ca.crt'), '-keyfile', file('foreign-ca.key'))

  const publish = (name: CredentialName): string => {
    run('ca', '-config', config, '-revoke', file(`${name}.crt`))
    const number = Number.parseInt(readFileSync(file('crlnumber'), 'latin1'), 16)
    run('ca', '-config', config, '-gencrl', '-out', file('ca.crl.new'))
    renameSync(file('ca.crl.new'), file('ca.crl'))
    return String(number)
  }
  publish('revoked')
  const bundle = ['server.crt', 'server.key'].map((name) => readFileSync(file(name), 'latin1'))
  writeFileSync(file('server.pem'), bundle.join(''))
  const credential = (name: string) => ({
    certificate: readFileSync(file(`${name}.crt`), 'latin1'),
    key: readFileSync(file(`${name}.key`), 'latin1'),
  })
  return {
    authorityFile: file('ca.crt'),
    revocationListFile: file('ca.crl'),
    server: credential('server'),
    serverCertificateFile: file('server.crt'),
    serverKeyFile: file('server.key'),
    serverBundleFile: file('server.pem'),
    credential,
    revoke: publish,
  }
}

/** The DER of the certificate in base64 without line breaks. */
export const base64Der = ({ certificate }: Credential): string =>
  certificate.replace(/-----[A-Z ]+-----|\s/g, '')
