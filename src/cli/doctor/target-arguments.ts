import { createSecureContext } from 'node:tls'
import { usageError } from '../../administration/command-error.ts'
import { readGivenFile } from '../../administration/given-file.ts'
import { isDer, isEncryptedKey, readBlocks } from '../../certificate/pem.ts'
import { nearest, quote } from '../../config/text.ts'
import { type Check, GROUPS } from '../../doctor/check.ts'
import { CHECKS } from '../../doctor/checks.ts'
import type { Target } from '../../doctor/target.ts'
import { textFlag } from '../arguments.ts'
import type { Invocation } from '../command.ts'

const bare = (host: string): string => host.replace(/^\[|\]$/g, '')

/** Reads the URL and the flags about the deployment, except for the certificate. */
export async function targetOf(
  invocation: Invocation,
): Promise<Omit<Target, 'certificate' | 'key'>> {
  const url = urlOf(invocation)
  const port = url.port === '' ? 443 : Number(url.port)
  const host = bare(url.hostname)
  const connect = connectOf(textFlag(invocation, 'connect'))
  const serverCa = textFlag(invocation, 'server-ca')
  return {
    authority: url.host,
    host,
    connectHost: connect?.host ?? host,
    connectPort: connect?.port ?? port,
    plainPort: 80,
    serverAuthorities:
      serverCa === undefined
        ? undefined
        : await readCertificates('server-ca', serverCa, 'CERTIFICATE', 'TRUSTED CERTIFICATE'),
    application: applicationOf(textFlag(invocation, 'application')),
  }
}

function urlOf({ positionals }: Invocation): URL {
  const [text = '', ...more] = positionals
  if (text === '' || more.length > 0) {
    throw usageError('expected one URL', 'certlatch doctor https://home.example.org')
  }
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:') {
    throw usageError(`${quote(text)} is not an address such as https://home.example.org`)
  }
  if (url.username !== '' || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw usageError(`${quote(text)} has more than a host`, `write https://${url.host}`)
  }
  return url
}

function connectOf(text: string | undefined) {
  if (text === undefined) return undefined
  const [, host = '', port = ''] = /^(\[[0-9a-fA-F:.]+\]|[^:/[\]\s]+):(\d{1,5})$/.exec(text) ?? []
  const number = Number(port)
  if (host === '' || number < 1 || number > 65_535) {
    throw usageError(`--connect is ${quote(text)}: expected HOST:PORT, such as 192.168.1.10:443`)
  }
  return { host: bare(host), port: number }
}

function applicationOf(text: string | undefined): URL | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url
  throw usageError(`--application is ${quote(text)}: expected one such as http://192.168.1.20:8123`)
}

const readGiven = (flag: string, path: string): Promise<Buffer> =>
  readGivenFile(path, `--${flag} is ${quote(path)}: the file`)

/** Reads a file with certificates in PEM, in blocks with one of the labels. */
async function readCertificates(
  flag: string,
  path: string,
  ...labels: readonly string[]
): Promise<string> {
  const content = await readGiven(flag, path)
  try {
    createSecureContext({ ca: content })
    if (!isDer(content) && readBlocks(content, ...labels).length > 0) {
      return content.toString('latin1')
    }
  } catch {
    // Reported below.
  }
  throw usageError(`--${flag} is ${quote(path)}: the file holds no certificate in PEM`)
}

/** Reads the files that `--certificate` and `--key` name; `undefined` without these flags. */
export async function givenCertificate(
  invocation: Invocation,
): Promise<Pick<Target, 'certificate' | 'key'> | undefined> {
  const certificatePath = textFlag(invocation, 'certificate')
  const keyPath = textFlag(invocation, 'key')
  if (certificatePath === undefined && keyPath === undefined) return undefined
  if (certificatePath === undefined || keyPath === undefined) {
    throw usageError('expected --certificate FILE and --key FILE together, both in PEM')
  }
  const certificate = await readCertificates('certificate', certificatePath, 'CERTIFICATE')
  const key = (await readGiven('key', keyPath)).toString('latin1')
  if (isEncryptedKey(key)) {
    throw usageError(
      `--key is ${quote(keyPath)}: the key is encrypted`,
      'openssl pkey -in … -out … decrypts it',
    )
  }
  try {
    createSecureContext({ cert: certificate, key })
    return { certificate, key }
  } catch {
    throw usageError(`--key is ${quote(keyPath)}: it is not the key of that certificate, in PEM`)
  }
}

/** Returns a filter for the checks that `--only` names, by name or group. */
export function askedChecks(invocation: Invocation): (check: Check) => boolean {
  const text = textFlag(invocation, 'only')
  if (text === undefined) return () => true
  const names = new Set(text.split(',').map((name) => name.trim()))
  const known = [...Object.keys(GROUPS), ...CHECKS.map(({ name }) => name)]
  for (const name of names) {
    if (known.includes(name)) continue
    const near = nearest(name, known)
    const hint = near === undefined ? `one of ${known.join(', ')}` : `did you mean ${near}?`
    throw usageError(`--only has no check ${quote(name)}`, hint)
  }
  return ({ name, group }) => names.has(name) || names.has(group)
}
