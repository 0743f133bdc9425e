// Runs in compose.e2e.ts in place of Home Assistant, whose image can't be pulled everywhere. It
// reports what reached it, has Home Assistant's rule about proxies, and echoes on WebSockets.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { WebSocketServer } from 'ws'

/** The stand-in's answer: how the request looked on arrival. */
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
