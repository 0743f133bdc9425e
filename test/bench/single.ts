import { Agent } from 'node:http'
import { question } from './processes.ts'
import type { Target } from './target.ts'

export interface Connections {
  readonly requests: number
  readonly opened: number
  /** Bytes of body in all answers together: what a proxy leaves unread costs it the connection. */
  readonly bodyBytes: number
}

/** How many connections one keep-alive client needs for requests one after another. */
export async function countConnections(target: Target, requests: number): Promise<Connections> {
  let opened = 0
  const agent = new (class extends Agent {
    override createConnection(...parameters: Parameters<Agent['createConnection']>) {
      opened += 1
      return super.createConnection(...parameters)
    }
  })({ keepAlive: true, maxSockets: 1 })
  const server = await target.start()
  try {
    let bodyBytes = 0
    for (let count = 0; count < requests; count += 1) {
      const { status, bodyLength } = await question(server.port, target.ask.headers, agent)
      if (status !== target.ask.status) throw new Error(`${target.name} answered ${status}`)
      bodyBytes += bodyLength
    }
    return { requests, opened, bodyBytes }
  } finally {
    agent.destroy()
    await server.stop()
  }
}
