import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { type Certificate, readCertificate } from '../../src/certificate/certificate.ts'
import {
  issueAuthority,
  issueCertificate,
  issueRevocationList,
  publicKeyInfoOf,
  type SigningAuthority,
} from '../../src/certificate/issue.ts'
import { readPemBlocks, writePem } from '../../src/certificate/pem.ts'
import { readIssuer } from '../../src/certificate/verify.ts'
import type { Config, Values } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { DialectName } from '../../src/proxy/dialects.ts'
import { type StartedService, startService } from '../../src/server/start.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { writeDevice } from '../../src/store/device-registry.ts'

/** Where every test's clock begins, in milliseconds. */
export const NOON = Date.UTC(2026, 10, 24, 12)
export const NOON_SECONDS = NOON / 1000
const DAY = 86_400

/** A fallback for a value that the test has already checked. */
export function present<T>(value: T | undefined | null): T {
  if (value === undefined || value === null) throw new Error('the test lacks a value')
  return value
}

// Stopping takes a second of draining: all services of a file end together, after its last test.
const endings: Promise<unknown>[] = []
const folders: string[] = []
after(async () => {
  await Promise.all(endings)
  // A service writes into its folder to the last.
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** Stops something without making the next test wait. */
export function endLater(ending: Promise<unknown>): void {
  endings.push(ending)
  ending.catch(() => undefined)
}

/** A folder that is removed when the test file is through. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'certlatch-test-'))
  folders.push(folder)
  return folder
}

// --- certificates ---------------------------------------------------------------------------------

export interface TestAuthority extends SigningAuthority {
  readonly pem: string
  readonly keyHash: string
}

/** An external CA with its key. */
export function makeAuthority(commonName: string, validity = years(10)): TestAuthority {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const der = issueAuthority({ ...validity, commonName, privateKey, serial: randomBytes(16) })
  return authorityOf(der, privateKey)
}

function authorityOf(der: Buffer, privateKey: KeyObject): TestAuthority {
  const read = readIssuer(der)
  if (!read.ok) throw new Error(read.problem)
  const { certificate, keyHash } = read.issuer
  return { certificate, privateKey, pem: writePem('CERTIFICATE', der), keyHash }
}

/** The CA that a first start has made. */
export async function ownAuthority(dataDir: string): Promise<TestAuthority> {
  const paths = dataPaths(dataDir)
  const [der] = readPemBlocks(await readFile(paths.authority, 'latin1'), 'CERTIFICATE') ?? []
  return authorityOf(present(der), createPrivateKey(await readFile(paths.authorityKey)))
}

function years(count: number) {
  return { notBefore: NOON_SECONDS - DAY, notAfter: NOON_SECONDS + count * 365 * DAY }
}

let deviceKeyPair: KeyObject | undefined

/** A device's certificate; all of them share one key, because possession is not proved here. */
export function makeLeaf(
  authority: SigningAuthority,
  commonName = 'Phone of Ada',
  more: { readonly notBefore?: number; readonly notAfter?: number; readonly uri?: string } = {},
): Certificate {
  deviceKeyPair ??= generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
  const der = issueCertificate(
    {
      ...years(1),
      commonName,
      publicKeyInfo: publicKeyInfoOf(deviceKeyPair),
      serial: randomBytes(16),
      uri: 'urn:certlatch:test',
      ...more,
    },
    authority,
  )
  return present(readCertificate(der))
}

export interface TestList {
  readonly number?: number
  readonly thisUpdate?: number
  readonly nextUpdate?: number
  readonly revoked?: readonly string[]
}

/** A CRL in PEM. */
export function makeList(authority: SigningAuthority, list: TestList = {}): string {
  const { number = NOON_SECONDS + 1, thisUpdate = NOON_SECONDS, revoked = [] } = list
  const nextUpdate = list.nextUpdate ?? NOON_SECONDS + 365 * DAY
  const entries = revoked.map((serial) => ({ serial, revokedAt: thisUpdate }))
  const der = issueRevocationList({ number, thisUpdate, nextUpdate, revoked: entries }, authority)
  return writePem('X509 CRL', der)
}

/** The certificate as the proxy writes it into its header. */
export function certificateHeader(certificate: Certificate, proxy: DialectName): Headers {
  const base64 = certificate.der.toString('base64')
  const spellings: Readonly<Record<DialectName, readonly [string, string]>> = {
    traefik: ['X-Forwarded-Tls-Client-Cert', base64],
    caddy: ['Client-Cert', `:${base64}:`],
    haproxy: ['Client-Cert', `:${base64}:`],
    nginx: ['X-SSL-Client-Cert', encodeURIComponent(writePem('CERTIFICATE', certificate.der))],
  }
  return [spellings[proxy]]
}

// --- HTTP, byte by byte ---------------------------------------------------------------------------

export type Headers = readonly (readonly [name: string, value: string])[]

export interface Answer {
  readonly status: number
  /** As received: order, case and repetitions. */
  readonly headers: Headers
  readonly body: Buffer
}

/** The value of a header that came once; `undefined` if it did not come, an error if repeatedly. */
export function header(answer: Answer, name: string): string | undefined {
  const values = allHeaders(answer, name)
  if (values.length > 1) throw new Error(`${name} came ${values.length} times`)
  return values[0]
}

export function allHeaders({ headers }: Answer, name: string): readonly string[] {
  const lowerCase = name.toLowerCase()
  return headers.filter(([known]) => known.toLowerCase() === lowerCase).map(([, value]) => value)
}

export interface RawRequest {
  readonly method?: string
  readonly target?: string
  readonly headers?: Headers
  readonly body?: string
}

/** The request's bytes; header values may hold any bytes (latin1), and nothing is added. */
export function requestBytes(request: RawRequest): Buffer {
  const { method = 'GET', target = '/verify', headers = [], body = '' } = request
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}\r\n${body}`, 'latin1')
}

export interface Connection {
  readonly socket: Socket
  /**
   * Sends anything and returns the next answer; `undefined` if the connection closes before one.
   */
  send(bytes: Buffer | string, isHead?: boolean): Promise<Answer | undefined>
  /** Everything until the other side closes; `isHead`: whether the first answer is to HEAD. */
  readToEnd(isHead?: boolean): Promise<readonly Answer[]>
  close(): void
}

/** A connection that sends whatever it is given. */
export async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  let received = Buffer.alloc(0)
  let ended = false
  let wake = () => {}
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    wake()
  })
  socket.on('error', () => wake())
  socket.on('close', () => {
    ended = true
    wake()
  })
  const change = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })
  const nextAnswer = async (isHead: boolean): Promise<Answer | undefined> => {
    for (;;) {
      const parsed = parseAnswer(received, isHead)
      if (parsed !== undefined) {
        received = received.subarray(parsed.length)
        // `100 Continue` is not the answer.
        if (parsed.answer.status >= 200) return parsed.answer
        continue
      }
      if (ended) return undefined
      await change()
    }
  }
  return {
    socket,
    send: (bytes, isHead = false) => {
      socket.write(bytes)
      return nextAnswer(isHead)
    },
    readToEnd: async (isHead = false) => {
      while (!ended) await change()
      const answers: Answer[] = []
      for (let next = await nextAnswer(isHead); next; next = await nextAnswer(false)) {
        answers.push(next)
      }
      return answers
    },
    close: () => socket.destroy(),
  }
}

function parseAnswer(bytes: Buffer, isHead: boolean) {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const [first = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1])
  const headers = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  const start = headEnd + 4
  const declared = headers.find(([name]) => name.toLowerCase() === 'content-length')?.[1] ?? '0'
  const length = isHead || status < 200 ? 0 : Number(declared)
  if (bytes.length < start + length) return undefined
  const body = Buffer.from(bytes.subarray(start, start + length))
  return { answer: { status, headers, body }, length: start + length }
}

export const CLOSED_UNANSWERED = 'the connection was closed without an answer'

/** One request on its own connection. */
export async function exchange(port: number, request: RawRequest | Buffer): Promise<Answer> {
  const connection = await openConnection(port)
  const bytes = Buffer.isBuffer(request) ? request : requestBytes(request)
  const isHead = !Buffer.isBuffer(request) && request.method === 'HEAD'
  const answer = await connection.send(bytes, isHead)
  connection.close()
  if (answer === undefined) throw new Error(CLOSED_UNANSWERED)
  return answer
}

// --- the service ----------------------------------------------------------------------------------

export interface TestServiceOptions {
  readonly proxy?: DialectName
  /** Others' CA, as the content of its files: makes the service one with an external CA. */
  readonly external?: { readonly authorities: string; readonly lists?: string }
  readonly settings?: Values
  /** An existing one; else a new one is made. */
  readonly dataDir?: string
}

export interface TestService {
  readonly dataDir: string
  readonly config: Config
  readonly port: number
  readonly adminPort: number
  /** In milliseconds; to be moved by the test. */
  readonly clock: { now: number }
  /** What was logged, as one text and as parsed lines. */
  logText(): string
  logLines(): readonly LogLine[]
  /**
   * Sends an auth request like the proxy's: with `PROXY_HEADERS`, unless the given headers replace
   * it.
   */
  ask(headers?: Headers, request?: RawRequest): Promise<Answer>
  askWith(certificate: Certificate, headers?: Headers): Promise<Answer>
  readonly pagesPort: number
  /** Opens one of certlatch's own pages through a proxy. */
  visit(target: string, headers?: Headers, request?: RawRequest): Promise<Answer>
  admin(target: string, headers?: Headers, method?: string): Promise<Answer>
  /** The value of one series; `undefined` if there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>
  readiness(): Promise<ReadinessAnswer>
  refresh(): Promise<void>
  stop(): Promise<void>
}

export type LogLine = { readonly [field: string]: unknown } & { readonly level: string }

export interface ReadinessAnswer {
  readonly status: number
  readonly ready: boolean
  readonly keySet: string
  readonly crlNumber: string | undefined
  /** Checks by name. */
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>>
}

/** A proxy's headers for a navigation to https://ha.test/. */
export const PROXY_HEADERS: Headers = [
  ['X-Forwarded-Method', 'GET'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Forwarded-Host', 'ha.test'],
  ['X-Forwarded-Uri', '/lovelace?kiosk'],
  ['X-Forwarded-For', '198.51.100.7'],
]

/** What a proxy says of a request that it passes to the pages: the rest is in the request itself. */
function visited(headers: Headers): Headers {
  const ofTheRequest: readonly string[] = ['X-Forwarded-Method', 'X-Forwarded-Uri']
  const given = new Set(headers.map(([name]) => name.toLowerCase()))
  return [
    ['Host', 'ha.test'],
    ...PROXY_HEADERS.filter(
      ([name]) => !ofTheRequest.includes(name) && !given.has(name.toLowerCase()),
    ),
    ...headers,
  ]
}

/** The proxy's headers, with these in place of those of the same name. */
export function asked(headers: Headers = []): Headers {
  const replaced = new Set(headers.map(([name]) => name.toLowerCase()))
  return [
    ['Host', 'certlatch:9180'],
    ...PROXY_HEADERS.filter(([name]) => !replaced.has(name.toLowerCase())),
    ...headers,
  ]
}

export function configOf(values: Values): { config: Config; warnings: readonly string[] } {
  const loaded = loadConfig({
    CERTLATCH_LISTEN: '127.0.0.1:0',
    CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
    ...values,
  })
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'))
  return loaded
}

/** Collects what a service logs. */
export function captureLog() {
  const texts: string[] = []
  return {
    destination: { write: (text: string) => void texts.push(text) },
    text: () => texts.join(''),
    lines: () => texts.map((text) => JSON.parse(text) as LogLine),
  }
}

export async function writeExternalFiles(
  folder: string,
  { authorities, lists }: { readonly authorities: string; readonly lists?: string },
): Promise<Values> {
  const caFile = join(folder, 'external-ca.pem')
  await writeFile(caFile, authorities)
  if (lists === undefined) return { CERTLATCH_CA_FILE: caFile }
  const crlFile = join(folder, 'external-crl.pem')
  await writeFile(crlFile, lists)
  return { CERTLATCH_CA_FILE: caFile, CERTLATCH_CRL_FILE: crlFile }
}

/** A whole service in this process, on ports of the system's choice; stops with the test. */
export async function startTestService(
  context: Pick<TestContext, 'after'>,
  options: TestServiceOptions = {},
): Promise<TestService> {
  const dataDir = options.dataDir ?? (await temporaryFolder())
  const { proxy = 'traefik', external } = options
  const { config, warnings } = configOf({
    CERTLATCH_DATA_DIR: dataDir,
    CERTLATCH_PROXY: proxy,
    ...(external && (await writeExternalFiles(dataDir, external))),
    ...options.settings,
  })
  const clock = { now: NOON }
  const log = captureLog()
  const service = await startService({
    config,
    warnings,
    logDestination: log.destination,
    version: '0.0.0-test',
    now: () => clock.now,
  })
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= service.stop()
    return stopped
  }
  context.after(() => endLater(stop()))
  return {
    ...questions(service, proxy),
    dataDir,
    config,
    clock,
    logText: log.text,
    logLines: log.lines,
    stop,
  }
}

function questions(service: StartedService, proxy: DialectName) {
  const port = service.address.port
  const adminPort = service.adminAddress.port
  const ask = (headers?: Headers, request: RawRequest = {}) =>
    exchange(port, { ...request, headers: asked(headers) })
  const pagesPort = service.pagesAddress.port
  const visit = (target: string, headers: Headers = [], request: RawRequest = {}) => {
    const { body } = request
    const length: Headers = body === undefined ? [] : [['Content-Length', String(body.length)]]
    return exchange(pagesPort, { ...request, target, headers: [...visited(headers), ...length] })
  }
  const admin = (target: string, headers: Headers = [], method = 'GET') =>
    exchange(adminPort, { method, target, headers: [['Host', 'certlatch:9181'], ...headers] })
  return {
    port,
    adminPort,
    pagesPort,
    visit,
    ask,
    askWith: (certificate: Certificate, headers: Headers = []) =>
      ask([...certificateHeader(certificate, proxy), ...headers]),
    admin,
    metric: async (name: string, labels: Readonly<Record<string, string>> = {}) =>
      readMetrics((await admin('/metrics')).body.toString()).get(seriesKey(name, labels)),
    readiness: async (): Promise<ReadinessAnswer> => {
      const { status, body } = await admin('/readyz')
      const told = JSON.parse(body.toString())
      const checks = told.checks.map((check: { name: string }) => [check.name, check])
      return { ...told, status, checks: Object.fromEntries(checks) }
    },
    refresh: async () => {
      // The first may be one that was under way already, and have looked too early.
      await service.refresh()
      await service.refresh()
    },
  }
}

/** A metric's name and labels, whatever their order. */
export const seriesKey = (name: string, labels: Readonly<Record<string, string>>): string =>
  [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].sort().join(' ')

/** The text format of Prometheus, by `seriesKey`. */
export function readMetrics(text: string): ReadonlyMap<string, number> {
  const series = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) continue
    const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label, text]) => [
      label,
      text,
    ])
    series.set(seriesKey(name, Object.fromEntries(pairs)), Number(value))
  }
  return series
}

// --- devices --------------------------------------------------------------------------------------

export interface TestDevice {
  readonly certificate: Certificate
  readonly id: string
}

/** Enters a device with a new certificate of our own CA into the registry. */
export async function addTestDevice(
  dataDir: string,
  name = 'Phone of Ada',
  owner?: string,
  more?: { readonly notBefore?: number; readonly notAfter?: number },
): Promise<TestDevice> {
  const authority = await ownAuthority(dataDir)
  const certificate = makeLeaf(authority, name, more)
  const { serial, notBefore, notAfter } = certificate
  const id = randomBytes(8).toString('hex')
  await writeDevice(dataPaths(dataDir).devices, id, {
    name,
    owner,
    certificates: [{ issuerKeyHash: authority.keyHash, serial, notBefore, notAfter }],
  })
  return { certificate, id }
}

/** The `name=value` of the one cookie that an answer sets. */
export function sessionOf(answer: Answer): string {
  return present(present(header(answer, 'Set-Cookie')).split(';')[0])
}
