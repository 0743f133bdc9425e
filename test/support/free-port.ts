import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * An unused port below those that the system assigns to outgoing connections: one of them might
 * take it before the test's server listens.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, FIRST_OUTGOING_PORT)
    if (await isFree(port)) return port
  }
}

const FIRST_PORT = 20_000
const FIRST_OUTGOING_PORT = 32_768

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
