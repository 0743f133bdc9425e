// What compose.e2e.ts runs in Home Assistant's place: an image of its name that can't be pulled
// everywhere. It tells what reached it, keeps Home Assistant's rule about proxies, and echoes on
// WebSockets.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { WebSocketServer } from 'ws'

/** What the stand-in answers: how the request looked when it arrived. */
export interface Arrived {
  readonly standIn: true
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
}

const configuration = readFileSync('/config/configuration.yaml', 'utf8')
const behindProxy = /^ {2}use_x_forwarded_for: true$/m.test(configuration)
const trustedProxy = /^ {2}trusted_proxies: (\S+)$/m.exec(configuration)?.[1]

/** Home Assistant answers 400 to a proxy that its configuration does not name. */
const isAccepted = ({ headers, socket }: IncomingMessage): boolean =>
  headers['x-forwarded-for'] === undefined ||
  (behindProxy && socket.remoteAddress?.replace('::ffff:', '') === trustedProxy)

const server = createServer((request, response) => {
  if (!isAccepted(request)) {
    response.writeHead(400).end()
    return
  }
  const { method, url, headers } = request
  const arrived: Arrived = { standIn: true, method, url, headers }
  response.setHeader('Content-Type', 'application/json').end(JSON.stringify(arrived))
})

new WebSocketServer({
  server,
  verifyClient: ({ req }: { req: IncomingMessage }) => isAccepted(req),
}).on('connection', (socket) => socket.on('message', (message) => socket.send(message.toString())))

server.listen(8123)
process.on('SIGTERM', () => process.exit(0))
