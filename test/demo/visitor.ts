import { request } from 'node:https'
import { WebSocket } from 'ws'

/** The front that is visited. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly serverCertificate: string
}

/** What a visitor shows: a certificate and its key (PEM), a cookie pair, or neither. */
export interface Shown {
  readonly certificate?: string
  readonly key?: string
  readonly cookie?: string
}

export interface Answer {
  readonly status: number
  /** `name=value` of the cookie that was set. */
  readonly cookie: string | undefined
  readonly summary: string
  readonly body: string
  /** All cookies that were set, as a Cookie header's value. */
  readonly cookies: string
}

const clientOptions = ({ serverCertificate }: Target, shown: Shown) => ({
  ca: serverCertificate,
  ...(shown.certificate && { cert: shown.certificate }),
  ...(shown.key && { key: shown.key }),
  headers: shown.cookie ? { Cookie: shown.cookie } : {},
})

/** One request on its own connection; with fields it is a POST like that of a certlatch page. */
export function sendRequest(
  target: Target,
  path: string,
  shown: Shown,
  fields?: Readonly<Record<string, string>>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { host, port } = target
    const { headers, ...others } = clientOptions(target, shown)
    const posted = fields === undefined ? undefined : JSON.stringify(fields)
    const options = {
      ...others,
      ...{ host, port, path, agent: false, method: posted === undefined ? 'GET' : 'POST' },
      headers: {
        ...headers,
        ...(posted !== undefined && {
          Origin: `https://${host}:${port}`,
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(posted),
        }),
      },
    }
    const sent = request(options, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8').trim()
        const status = answer.statusCode ?? 0
        resolve({
          status,
          cookie: ownCookie(answer.headers['set-cookie'] ?? []),
          summary: `${status} ${answer.statusMessage}  ${firstWords(body)}`.trim(),
          body,
          cookies: (answer.headers['set-cookie'] ?? [])
            .map((line) => line.split(';')[0])
            .join('; '),
        })
      })
    })
    sent.on('error', reject)
    sent.end(posted)
  })
}

/** The heading of a page, the first line of anything else. */
function firstWords(body: string): string {
  const [, heading] = /<h1>(.*?)<\/h1>/.exec(body) ?? []
  return heading ?? body.split('\n')[0] ?? ''
}

function ownCookie(lines: readonly string[]): string | undefined {
  return lines.find((line) => line.startsWith('__Host-certlatch='))?.split(';')[0]
}

/** Opens a WebSocket, sends `message` and waits for the echo. */
export function openWebSocket(
  target: Target,
  shown: Shown,
  message: string,
): Promise<{ readonly open: boolean; readonly summary: string }> {
  return new Promise((resolve) => {
    const url = `wss://${target.host}:${target.port}/`
    const socket = new WebSocket(url, clientOptions(target, shown))
    socket.on('open', () => socket.send(message))
    socket.on('message', (echo) => {
      socket.close()
      resolve({ open: true, summary: `101 Switching Protocols  sent "${message}", got "${echo}"` })
    })
    socket.on('unexpected-response', (_, answer) => {
      resolve({ open: false, summary: `${answer.statusCode} ${answer.statusMessage}` })
    })
    socket.on('error', (error) => resolve({ open: false, summary: error.message }))
  })
}
