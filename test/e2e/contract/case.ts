import assert from 'node:assert/strict'
import type { DialectName } from '../../../src/proxy/dialects.ts'
import { type HeaderLine, NUMBER_HEADER, valuesOf } from '../support/backend.ts'
import { openTls, type Protocol, statusOf } from '../support/client.ts'
import {
  type Answer,
  type Gate,
  nextNumber,
  PROXY_SECRET,
  SESSION,
  type SocketAnswer,
} from '../support/gate.ts'
import { base64Der, type Credential, type CredentialName } from '../support/pki.ts'

/** A sentence of the contract, and how it is shown at a running proxy. */
export interface Case {
  readonly name: string
  /** Without it, over every protocol that the proxy speaks. */
  readonly protocols?: readonly Protocol[]
  readonly proxies?: readonly DialectName[]
  /** It stops the proxy, and so gets its own. */
  readonly endsProxy?: true
  readonly run: (gate: Gate, protocol: Protocol) => Promise<void>
}

export const ONCE: readonly Protocol[] = ['HTTP/1.1']

export const BAD: readonly CredentialName[] = [
  'expired',
  'foreign',
  'revoked',
  'wrong-usage',
  'large',
]

export const HTML: readonly HeaderLine[] = [['Accept', 'text/html']]

export const proxyOf = (gate: Gate): DialectName => gate.world.kind.dialect

export const sessionLines = ({ headers }: Pick<Answer, 'headers'>): readonly string[] =>
  (headers['set-cookie'] ?? []).filter((line) => line.startsWith(SESSION))

export function assertOpen(answer: Answer): asserts answer is Answer & { seen: object } {
  assert.equal(answer.status, 200, `opens: expected 200, got ${answer.status}`)
  assert.ok(answer.seen, 'opens: the application saw the request')
}

export function assertRefused(answer: Answer): void {
  assert.equal(answer.status, 403, `refused: expected 403, got ${answer.status}`)
  assert.equal(answer.seen, undefined, 'refused: the application saw nothing of it')
  assert.deepEqual(sessionLines(answer), [], 'refused: no session is set')
  assert.deepEqual(answer.headers['x-certlatch'], ['refused'], "refused: in certlatch's words")
}

/** Nothing of it got to the application; how the proxy says so is its own affair. */
export function assertClosed(answer: Pick<Answer, 'seen' | 'status'>): void {
  assert.equal(answer.seen, undefined, 'closed: the application saw nothing of it')
  assert.ok(answer.status >= 400, `closed: got ${answer.status}`)
}

export const userSeen = ({ seen }: Answer | SocketAnswer): readonly string[] =>
  valuesOf(seen?.headers ?? [], 'remote-user').map((value) =>
    Buffer.from(value, 'latin1').toString('utf8'),
  )

/** Each header of the request to the application that carries what it must not. */
export function leaks(gate: Gate, { seen }: Answer | SocketAnswer): readonly string[] {
  // A part of a single line of the PEM, without escaped characters.
  const lines = gate.world.pki.credential('ada').certificate.split('\n').slice(1, -2)
  const pieces = lines.flatMap((line) => line.match(/[A-Za-z0-9]{16,}/g) ?? [])
  const secrets = [...pieces, PROXY_SECRET, SESSION.slice(0, -1)]
  return (seen?.headers ?? [])
    .filter(([, value]) => secrets.some((secret) => value.includes(secret)))
    .map(([name]) => name)
}

/** The headers that proxies fill in from a certificate, and related ones. */
export const CERTIFICATE_HEADERS =
  /^(x-forwarded-tls-client-cert(-info)?|client-cert(-chain)?|x-ssl-client-cert)$/i

/** The certificate in the header of every proxy, in its encoding. */
export const forgedCertificateHeaders = (credential: Credential): readonly HeaderLine[] => [
  ['X-Forwarded-Tls-Client-Cert', base64Der(credential)],
  ['X-Forwarded-Tls-Client-Cert-Info', encodeURIComponent('Subject="CN=ada"')],
  ['Client-Cert', `:${base64Der(credential)}:`],
  ['Client-Cert-Chain', `:${base64Der(credential)}:`],
  ['X-SSL-Client-Cert', encodeURIComponent(credential.certificate)],
  ['X-Client-Cert', `:${base64Der(credential)}:`],
]

export const FORGED_REQUEST: readonly HeaderLine[] = [
  ['X-Forwarded-Method', 'OPTIONS'],
  ['X-Forwarded-Uri', '/forged'],
]

export const FORGED_ORIGIN: readonly HeaderLine[] = [
  ['X-Forwarded-Host', 'forged.example'],
  ['X-Forwarded-Proto', 'http'],
  ['X-Forwarded-For', '203.0.113.7'],
]

/** The `X-Forwarded-…` values that certlatch received, one each. */
export function told({ questions }: Answer, name: string): string | undefined {
  const [question] = questions
  const values = valuesOf(question?.headers ?? [], `x-forwarded-${name}`)
  assert.equal(values.length, 1, `X-Forwarded-${name} is sent once`)
  return values[0]
}

/** Sends bytes over TLS and answers the status and what became of the request. */
export async function sendRaw(
  gate: Gate,
  head: (number: string) => string,
  credential?: CredentialName,
): Promise<Pick<Answer, 'status' | 'seen' | 'questions'>> {
  const number = nextNumber()
  const socket = await openTls(gate.target, credential && gate.world.pki.credential(credential))
  const status = await statusOf(socket, head(number))
  return {
    status,
    seen: gate.world.backend.find(number),
    questions: gate.world.relay.questions(number),
  }
}

export const rawHead =
  (start: string, host: string, more = '') =>
  (number: string) =>
    `${start} HTTP/1.1\r\nHost: ${host}\r\n${NUMBER_HEADER}: ${number}\r\n${more}Connection: close\r\n\r\n`
