import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { type HeaderLine, NUMBER_HEADER, valuesOf } from './backend.ts'

/** An auth request that the proxy sent to certlatch. */
export interface AskedQuestion {
  readonly method: string
  readonly url: string
  readonly headers: readonly HeaderLine[]
}

/** Sits between proxy and certlatch: counts connections, reads auth requests, simulates outages. */
export interface Relay {
  readonly port: number
  readonly connections: number
  questions(number: string): readonly AskedQuestion[]
  /** `down`: nothing listens; `silent`: connections open, and no answer comes. */
  set(state: 'up' | 'down' | 'silent'): Promise<void>
  close(): void
}

export async function startRelay(target: number): Promise<Relay> {
  const open = new Set<Socket>()
  const asked = new Map<string, AskedQuestion[]>()
  let connections = 0
  let state: 'up' | 'down' | 'silent' = 'up'
  const onQuestion = (question: AskedQuestion) => {
    const [number = ''] = valuesOf(question.headers, NUMBER_HEADER)
    const before = asked.get(number)
    if (before) before.push(question)
    else asked.set(number, [question])
  }
  const onConnection = (socket: Socket) => {
    connections += 1
    open.add(socket)
    const read = questionReader(onQuestion)
    const onward = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    const cutBoth = () => {
      socket.destroy()
      onward.destroy()
    }
    for (const side of [socket, onward]) side.on('error', cutBoth)
    // Each end by itself: with bytes of the proxy unread, the system would reset its connection, and the
    // answer could be lost.
    socket.on('end', () => onward.end())
    onward.on('end', () => socket.end())
    socket.on('close', () => {
      open.delete(socket)
      onward.destroy()
    })
    socket.on('data', (bytes: Buffer) => {
      read(bytes)
      if (state === 'up' && onward.writable) onward.write(bytes)
    })
    onward.on('data', (bytes: Buffer) => socket.write(bytes))
  }
  let server = await listen(onConnection, 0)
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  const cut = () => {
    for (const socket of open) socket.destroy()
    server.close()
  }
  return {
    port,
    get connections() {
      return connections
    },
    questions: (number) => asked.get(number) ?? [],
    set: async (wanted) => {
      if (wanted === 'down' && state !== 'down') cut()
      if (wanted !== 'down' && state === 'down') server = await listen(onConnection, port)
      state = wanted
    },
    close: cut,
  }
}

async function listen(onConnection: (socket: Socket) => void, port: number): Promise<Server> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, onConnection)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Reads the heads of requests; skips bodies, which no auth request should have. */
function questionReader(onQuestion: (question: AskedQuestion) => void): (bytes: Buffer) => void {
  let text = ''
  return (bytes) => {
    text += bytes.toString('latin1')
    for (;;) {
      const end = text.indexOf('\r\n\r\n')
      if (end === -1) return
      const [first = '', ...lines] = text.slice(0, end).split('\r\n')
      const [method = '', url = ''] = first.split(' ')
      const headers = lines.map((line): HeaderLine => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon), line.slice(colon + 1).trim()]
      })
      const [length = '0'] = valuesOf(headers, 'content-length')
      text = text.slice(end + 4 + Number(length))
      onQuestion({ method, url, headers })
    }
  }
}
