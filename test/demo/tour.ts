/**
 * `npm run demo`: the tour. A throw-away data directory, one device, certlatch, a small application
 * and a TLS front; each step is the request that a person could repeat with curl, and its answer.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { addDevice, revoke } from '../support/device.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import { startApplication, startCertlatch, waitForRevocationList } from './actors.ts'
import { chooseFront, FrontError, STAND_IN_NAME } from './fronts.ts'
import { openWebSocket, type Shown, sendRequest } from './visitor.ts'

const HOST = 'localhost'
const DEVICE = "Ada's phone"

const say = (line = ''): void => {
  process.stdout.write(`${line}\n`)
}

/** One step: what a person would type, what came back, and whether that is what should come. */
interface Step {
  readonly title: string
  readonly command: string
  readonly answer: string
  readonly good: boolean
}

function tell({ title, command, answer, good }: Step): boolean {
  say()
  say(`# ${title}`)
  say(`$ ${command}`)
  say(`${answer}${good ? '' : '        <-- not what should have come'}`)
  return good
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      stay: { type: 'boolean' },
      front: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say('npm run demo [-- --stay] [-- --front caddy|traefik|nginx|stand-in]')
    say('  --stay   stay up at the end and say how to open it in a browser; Ctrl-C ends it')
    say('  --front  which TLS front to use; without it the first one found on the PATH')
    return true
  }
  try {
    return await tourOnce(values)
  } catch (error) {
    if (!(error instanceof FrontError) || values.front !== undefined) throw error
    say(`${error.message}; so with the stand-in instead`)
    say()
    return await tourOnce({ ...values, front: STAND_IN_NAME })
  }
}

interface Options {
  readonly stay?: boolean
  readonly front?: string
}

/** In a folder of its own, with everything stopped and removed at the end. */
async function tourOnce(options: Options): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'certlatch-demo-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const closers: (() => Promise<void>)[] = []
  try {
    return await tour(folder, options, closers)
  } finally {
    for (const close of closers.reverse()) await close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function tour(
  folder: string,
  options: Options,
  closers: (() => Promise<void>)[],
): Promise<boolean> {
  const nowSeconds = () => Math.floor(Date.now() / 1000)
  const dataDir = join(folder, 'data')
  const front = chooseFront(options.front)
  if (front === undefined) {
    say(
      `--front ${options.front}: there is no such program on the PATH; expected caddy, traefik, nginx or stand-in`,
    )
    return false
  }
  say(`certlatch demo: everything lies in ${folder} and is thrown away at the end`)
  say(`in front: ${front.description}`)

  const application = await startApplication()
  closers.push(application.close)
  const certlatch = await startCertlatch(dataDir, front.dialect)
  closers.push(certlatch.close)
  const device = await addDevice(dataDir, DEVICE, 'Ada', nowSeconds())
  await certlatch.refreshed(1)

  const server = makeServerCertificate(HOST, nowSeconds())
  const files = { ca: 'server.crt', certificate: 'device.crt', key: 'device.key' }
  await writeFile(join(folder, files.ca), server.certificate)
  await writeFile(join(folder, files.certificate), device.certificate)
  await writeFile(join(folder, files.key), device.key, { mode: 0o600 })
  const running = await front.start({
    folder,
    host: HOST,
    server,
    authorityFile: join(dataDir, 'public', 'ca.crt'),
    certlatchPort: certlatch.port,
    applicationPort: application.port,
  })
  closers.push(running.close)

  const target = { host: HOST, port: running.port, serverCertificate: server.certificate }
  const url = `https://${HOST}:${running.port}`
  const curl = `curl --cacert ${files.ca}`
  const shown: Shown = { certificate: device.certificate, key: device.key }
  const results: boolean[] = []

  const refused = await sendRequest(target, '/', {})
  results.push(
    tell({
      title: 'no certificate: stays outside',
      command: `${curl} ${url}/`,
      answer: refused.summary,
      good: refused.status === 403,
    }),
  )
  const opened = await sendRequest(target, '/', shown)
  const cookie = opened.cookie ?? ''
  results.push(
    tell({
      title: `the certificate of "${DEVICE}": opens, and is remembered in a cookie`,
      command: `${curl} --cert ${files.certificate} --key ${files.key} -c jar ${url}/`,
      answer: `${opened.summary}\nSet-Cookie: ${cookie.slice(0, 36)}…`,
      good: opened.status === 200 && cookie !== '',
    }),
  )
  const byCookie = await sendRequest(target, '/', { cookie })
  results.push(
    tell({
      title: 'the cookie alone: the page opens',
      command: `${curl} -b jar ${url}/`,
      answer: byCookie.summary,
      good: byCookie.status === 200,
    }),
  )
  const echo = await openWebSocket(target, { cookie }, 'hello')
  results.push(
    tell({
      title: 'the cookie alone: the WebSocket opens, which Safari needs',
      command: `${curl} -b jar --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' … ${url}/`,
      answer: echo.summary,
      good: echo.open,
    }),
  )
  if (options.stay) {
    results.push(await stay(url, folder, files))
  }
  const number = await revoke(dataDir, [device.serial], nowSeconds())
  await waitForRevocationList(certlatch.adminPort, number)
  say()
  say(`# "${DEVICE}" is lost: its certificate is revoked (public/ca.crl written anew)`)
  const afterwards = await sendRequest(target, '/', shown)
  results.push(
    tell({
      title: 'revoked: the certificate stays outside',
      command: `${curl} --cert ${files.certificate} --key ${files.key} ${url}/`,
      answer: afterwards.summary,
      good: afterwards.status === 403,
    }),
  )
  const cookieAfterwards = await sendRequest(target, '/', { cookie })
  results.push(
    tell({
      title: 'revoked: its cookie too',
      command: `${curl} -b jar ${url}/`,
      answer: cookieAfterwards.summary,
      good: cookieAfterwards.status === 403,
    }),
  )
  const good = results.every(Boolean)
  say()
  say(good ? `all ${results.length} answers were right` : 'some answers were wrong: see above')
  return good
}

async function stay(
  url: string,
  folder: string,
  files: { readonly certificate: string; readonly key: string },
): Promise<boolean> {
  const p12 = `openssl pkcs12 -export -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1 -inkey ${files.key} -in ${files.certificate} -out device.p12`
  say()
  say(`# staying up: ${url}/`)
  say(`to open it in a browser, make a package of the device's certificate and import it:`)
  say(`  cd ${folder} && ${p12}`)
  say('the server certificate is a throw-away one: the browser will warn about it once')
  say('Ctrl-C revokes the device, shows that it is refused, and ends the demo')
  const forever = setInterval(() => undefined, 60_000)
  await new Promise<void>((resolve) => {
    process.removeAllListeners('SIGINT')
    process.once('SIGINT', resolve)
  })
  clearInterval(forever)
  return true
}

// Ended from outside it leaves nothing behind either: see the 'exit' listeners.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))
// Whoever reads only the first lines (`| head`) closes the pipe.
process.stdout.on('error', () => process.exit(1))
process.exitCode = (await main()) ? 0 : 1
