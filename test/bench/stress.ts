import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadAtRate, type Slice } from './load.ts'
import { ATTACKER, type Mixture, startMixture } from './mixture.ts'
import { question } from './processes.ts'
import { certificateHeader, headersOf, makeScene } from './scene.ts'

// What a device with a cookie notices during an attack: 200 auth requests a second, each of which
// must be answered with 200. `node dist/test/bench/stress.js`, about three minutes.

const PROBE_PER_SECOND = 200
const SECONDS = 8
const MANY_REVOKED = 100_000

const scene = makeScene()
const folder = await mkdtemp(join(tmpdir(), 'certlatch-stress-'))

/** Starts a load that continues until it is stopped; returns a description for the report. */
type Pest = (mixture: Mixture) => Promise<() => Promise<string>>

const atRate =
  (kind: keyof Mixture, perSecond: number): Pest =>
  async (mixture) => {
    const running = loadAtRate(mixture.server.port, String(mixture[kind]), perSecond, SECONDS)
    return async () => {
      const { requests, seconds, broken } = await running
      return `${Math.round(requests / seconds)}/s answered, ${broken} broken`
    }
  }

/** Connections that say the beginning of a request, or nothing at all, and wait. */
const connections =
  (count: number, beginning: string): Pest =>
  async ({ server }) => {
    const sockets: Socket[] = []
    let failed = 0
    for (let index = 0; index < count; index += 1) {
      const socket = connect({ port: server.port, host: '127.0.0.1' })
      socket.on('error', () => {
        failed += 1
      })
      socket.on('connect', () => socket.write(beginning))
      sockets.push(socket)
      if (index % 200 === 199) await pause(20)
    }
    await pause(500)
    return async () => {
      for (const socket of sockets) socket.destroy()
      return `${count - failed} open at once`
    }
  }

/** New devices connect among bad certificates: from elsewhere, and from the attacker's address. */
const badCertificates: Pest = async (mixture) => {
  const flood = loadAtRate(mixture.server.port, mixture.badCertificates, 5_000, SECONDS)
  const opened = new Map<string, number>()
  const stopAt = performance.now() + SECONDS * 900
  let visits = 0
  const visiting = (async () => {
    while (performance.now() < stopAt) {
      for (const address of ['192.168.1.23', ATTACKER]) {
        const shown = certificateHeader('traefik', scene.issueCertificate())
        const headers = headersOf({ more: { ...shown, 'X-Forwarded-For': address } })
        const { status } = await question(mixture.server.port, headers)
        if (status === 200) opened.set(address, (opened.get(address) ?? 0) + 1)
      }
      visits += 1
      await pause(100)
    }
  })()
  return async () => {
    const { requests, seconds } = await flood
    await visiting
    const share = (address: string) => `${opened.get(address) ?? 0} of ${visits}`
    return `${Math.round(requests / seconds)}/s answered; first visits let in: ${share('192.168.1.23')} from elsewhere, ${share(ATTACKER)} from the same address`
  }
}

/** A new CRL each half second, each with more in it. */
const reloads =
  (revoked: number): Pest =>
  async ({ revocationListFile }) => {
    let count = 0
    const write = async () => {
      count += 1
      await writeFile(`${revocationListFile}.new`, scene.revocationList(revoked + count, count + 1))
      await rename(`${revocationListFile}.new`, revocationListFile)
    }
    await write()
    const timer = setInterval(() => void write(), 500)
    return async () => {
      clearInterval(timer)
      return `${count} lists`
    }
  }

const oneList: Pest = async (mixture) => {
  const end = await reloads(MANY_REVOKED)(mixture)
  const said = await end()
  return async () => said
}

const PHASES: readonly (readonly [string, Pest])[] = [
  ['nothing else', async () => async () => ''],
  ['10,000 idle connections', connections(10_000, '')],
  ['2,000 half requests', connections(2_000, 'GET /verify HTTP/1.1\r\nX-Forwarded-Method: G')],
  ['45 kB of headers, 500/s', atRate('longHeaders', 500)],
  ['5,000 new bad certificates a second', badCertificates],
  ['new good cookies, 5,000/s', atRate('manyCookies', 5_000)],
  ['forged cookies, 5,000/s', atRate('forged', 5_000)],
  ['a new CRL each half second', reloads(100)],
  ['one new CRL of 100,000', oneList],
]

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

let isRight = true
try {
  process.stdout.write(
    '| while | p50 ms | p99 ms | not 200 | memory MB | |\n|---|---|---|---|---|---|\n',
  )
  for (const [name, pest] of PHASES) {
    const mixture = await startMixture(folder, scene)
    try {
      const warm = await loadAtRate(mixture.server.port, mixture.known, 2_000, 2)
      if (warm.refused > 0) throw new Error('the known cookie is refused')
      const end = await pest(mixture)
      const probe = await loadAtRate(mixture.server.port, mixture.known, PROBE_PER_SECOND, SECONDS)
      const said = await end()
      process.stdout.write(`${row(name, probe, await mixture.server.memoryMegabytes(), said)}\n`)
      if (probe.refused + probe.broken > 0) isRight = false
    } finally {
      await mixture.server.stop()
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
if (!isRight) process.exitCode = 1

function row(name: string, probe: Slice, memory: number | undefined, said: string): string {
  const cells = [
    name,
    probe.p50.toFixed(2),
    probe.p99.toFixed(2),
    probe.refused + probe.broken,
    memory === undefined ? '–' : Math.round(memory),
    said,
  ]
  return `| ${cells.join(' | ')} |`
}
