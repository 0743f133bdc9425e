/**
 * How long commands and startup take with a large registry; run separately: `node
 * dist/test/bench/many-devices.js [devices] [revoked]`
 */
import { execFile, spawn } from 'node:child_process'
import { createPrivateKey, randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { readOwnAuthorities } from '../../src/administration/authorities.ts'
import { initialize } from '../../src/administration/initialize.ts'
import { issueRevocationList } from '../../src/certificate/issue.ts'
import { writePem } from '../../src/certificate/pem.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { writeEntry } from '../../src/store/device-registry.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
const DAY = 86_400
const ROUNDS = 5

/** Fills a directory with devices, and with a CRL for another so many certificates. */
export async function makeManyDevices(
  dataDir: string,
  deviceCount: number,
  revokedCount: number,
): Promise<void> {
  const now = Math.floor(Date.now() / 1000)
  const everything = { authority: true, revocationList: true, sessionKeys: true }
  await initialize(dataDir, everything, {}, now)
  const paths = dataPaths(dataDir)
  const { issuers } = await readOwnAuthorities(paths)
  const [issuer] = issuers
  if (issuer === undefined) throw new Error('no CA was made')
  await mkdir(paths.devices, { recursive: true })
  for (let number = 0; number < deviceCount; number += 1) {
    const certificate = {
      issuerKeyHash: issuer.keyHash,
      serial: serial(),
      notBefore: now - DAY,
      notAfter: now + 397 * DAY,
      issuedAt: now,
    }
    const device = { name: `Device ${number}`, owner: undefined, certificates: [certificate] }
    await writeFile(join(paths.devices, `${randomUUID()}.json`), writeEntry(device))
  }
  const list = issueRevocationList(
    {
      number: now + 1,
      thisUpdate: now,
      nextUpdate: issuer.certificate.notAfter,
      revoked: Array.from({ length: revokedCount }, () => ({
        serial: serial(),
        revokedAt: now,
        reason: 'superseded' as const,
      })),
    },
    {
      certificate: issuer.certificate,
      privateKey: createPrivateKey(await readFile(paths.authorityKey)),
    },
  )
  await writeFile(paths.revocationList, writePem('X509 CRL', list))
}

/** Positive, as those of certificates are. */
function serial(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8((bytes.readUInt8() & 0x3f) | 0x40)
  return bytes.toString('hex')
}

const run = promisify(execFile)
const OUTPUT_BYTES = 64 * 1024 * 1024

/**
 * Drops the user's own certlatch settings: an unknown one is refused, and a known one would count.
 */
const environmentFor = (dataDir: string) => ({
  PATH: process.env['PATH'],
  CERTLATCH_DATA_DIR: dataDir,
})

/** Runs a command in its own process; returns its output. */
export async function runCommand(dataDir: string, argv: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [MAIN, ...argv], {
    env: environmentFor(dataDir),
    maxBuffer: OUTPUT_BYTES,
  })
  return stdout
}

/** Starts the service, waits until it is ready, and stops it. */
export function startOnce(dataDir: string): Promise<void> {
  const env = {
    ...environmentFor(dataDir),
    CERTLATCH_LISTEN: '127.0.0.1:0',
    CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
  }
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
      if (!output.includes('"msg":"ready"')) return
      child.kill('SIGKILL')
      resolve()
    })
    child.once('exit', () => reject(new Error(`ended before it was ready: ${output}`)))
  })
}

const print = (line: string) => process.stdout.write(`${line}\n`)

async function measure(name: string, action: () => Promise<unknown>): Promise<void> {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const begun = performance.now()
    await action()
    times.push(performance.now() - begun)
  }
  times.sort((one, other) => one - other)
  const [best = 0] = times
  const median = times[ROUNDS >> 1] ?? 0
  print(`${name.padEnd(16)} median ${median.toFixed(0)} ms, best ${best.toFixed(0)} ms`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [devices = 10_000, revoked = 10_000] = process.argv.slice(2).map(Number)
  const folder = await mkdtemp(join(tmpdir(), 'certlatch-many-'))
  try {
    const dataDir = join(folder, 'data')
    await makeManyDevices(dataDir, devices, revoked)
    print(`${devices} devices, a CRL of ${revoked}; each in a process of its own`)
    await measure('--version', () => runCommand(dataDir, ['--version']))
    await measure('device list', () => runCommand(dataDir, ['device', 'list']))
    await measure('serve, ready', () => startOnce(dataDir))
    // State files of killed services: commands need not wait for them.
    await rm(dataPaths(dataDir).running, { recursive: true })
    for (const [index, what] of ['add', 'revoke'].entries()) {
      let number = 0
      await measure(`device ${what}`, () => {
        number += 1
        const name = index === 0 ? `New ${number}` : `Device ${number}`
        const out = index === 0 ? ['--out', folder] : []
        return runCommand(dataDir, ['device', what, name, ...out])
      })
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
