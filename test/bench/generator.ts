import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Slice } from './load.ts'
import { percentile } from './statistics.ts'

// Replaces wrk where that is not installed. It is slower, so the server is less busy than it could
// be; the report says so. `generator.js <port> <file of requests> <connections> <seconds>`
const [, , port, file = '', connections, seconds] = process.argv

const requests = readFileSync(file, 'latin1').split('\0')
const latencies: number[] = []
let next = 0
let refused = 0
let broken = 0
let stopped = false

const startedAt = performance.now()
for (let index = 0; index < Number(connections); index += 1) open()
setTimeout(stop, Number(seconds) * 1000)

/** One keep-alive connection: the next request leaves when the answer to the last one is whole. */
function open(): void {
  const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
  let received = ''
  let sentAt = 0
  const send = () => {
    sentAt = performance.now()
    socket.write(requests[next % requests.length] ?? '', 'latin1')
    next += 1
  }
  socket.setEncoding('latin1')
  socket.on('connect', send)
  socket.on('error', () => {
    broken += 1
  })
  socket.on('data', (chunk) => {
    received += chunk
    const headEnd = received.indexOf('\r\n\r\n')
    if (headEnd === -1) return
    const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
    if (received.length < headEnd + 4 + length) return
    latencies.push(performance.now() - sentAt)
    if (!received.startsWith('HTTP/1.1 2')) refused += 1
    received = ''
    if (!stopped) send()
  })
}

function stop(): void {
  stopped = true
  const elapsed = (performance.now() - startedAt) / 1000
  const slice: Slice = {
    requests: latencies.length,
    seconds: elapsed,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    refused,
    broken,
  }
  process.stdout.write(`${JSON.stringify(slice)}\n`, () => process.exit(0))
}
