import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { TimedSlice } from './load.ts'
import { percentile } from './statistics.ts'

// Requests at a fixed rate, whatever the answers do: each is measured from the moment at which it was
// due, so that waiting behind a slow answer counts. Prints one line of JSON.
// Those of the first `lead-in` seconds are left out: they open connections, and this process is new.
// `open-loop.js <port> <file of requests> <requests a second> <seconds> <lead-in>`
const [, , port, file = '', rate, seconds, leadIn] = process.argv

const requests = readFileSync(file, 'latin1').split('\0')
/** Near a request no timer: that is a millisecond late, as much as is measured. */
const TIMER_IS_LATE = 2
const latencies: number[] = []
const idle: Socket[] = []
const interval = 1000 / Number(rate)
const uncounted = Number(rate) * Number(leadIn)
const total = uncounted + Number(rate) * Number(seconds)
let sent = 0
let answered = 0
let refused = 0
let broken = 0

const startedAt = performance.now() + 50
tick()

function tick(): void {
  while (sent < total && performance.now() >= startedAt + sent * interval) {
    ask(requests[sent % requests.length] ?? '', startedAt + sent * interval, sent >= uncounted)
    sent += 1
  }
  if (answered + broken >= total) report()
  else rest(startedAt + sent * interval - performance.now())
}

/** Awake all the time, it would take its core from a second one of its kind. */
function rest(milliseconds: number): void {
  const isAllSent = sent >= total
  if (isAllSent || milliseconds > TIMER_IS_LATE) {
    setTimeout(tick, isAllSent ? 1 : milliseconds - TIMER_IS_LATE)
  } else {
    setImmediate(tick)
  }
}

/** On a connection that waits for nothing, or on a new one. */
function ask(request: string, dueAt: number, counts: boolean): void {
  const socket = idle.pop() ?? open()
  let received = ''
  const fail = () => {
    broken += 1
    socket.off('close', fail).destroy()
  }
  const read = (chunk: string) => {
    received += chunk
    const headEnd = received.indexOf('\r\n\r\n')
    if (headEnd === -1) return
    const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
    if (received.length < headEnd + 4 + length) return
    answered += 1
    if (counts) latencies.push(Math.round((performance.now() - dueAt) * 1_000) / 1_000)
    if (!received.startsWith('HTTP/1.1 2')) refused += 1
    socket.off('data', read)
    socket.off('close', fail)
    idle.push(socket)
  }
  socket.on('data', read)
  socket.on('close', fail)
  socket.write(request, 'latin1')
}

function open(): Socket {
  const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
  // Errors are reported at the end; a rejection without a waiting caller must not end the process.
  socket
    .on('error', () => {})
    .on('close', () => {
      const index = idle.indexOf(socket)
      if (index !== -1) idle.splice(index, 1)
    })
  return socket.setEncoding('latin1')
}

function report(): void {
  const slice: TimedSlice = {
    requests: latencies.length,
    seconds: (performance.now() - startedAt) / 1000,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    latencies,
    refused,
    broken,
  }
  process.stdout.write(`${JSON.stringify(slice)}\n`, () => process.exit(0))
}
