/**
 * `npm run demo`: the tour. A throw-away data directory, one device, certlatch, a small application
 * and a TLS front; each step is the request that a person could repeat with curl, and its answer.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeServerCertificate } from '../support/server-certificate.ts'
import { type Certlatch, startApplication, startCertlatch } from './actors.ts'
import { enrol } from './enrolling.ts'
import { chooseFront, FrontError, STAND_IN_NAME } from './fronts.ts'
import { openWebSocket, type Shown, sendRequest, type Target } from './visitor.ts'

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

/** In its own folder, with everything stopped and removed at the end. */
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

/** A command of certlatch, as a step; its sentences on standard error belong to the answer. */
async function tellCommand(
  { command }: Pick<Certlatch, 'command'>,
  title: string,
  ...args: readonly string[]
): Promise<{ readonly good: boolean; readonly stdout: string }> {
  const { code, stdout, stderr } = await command(...args)
  const words = args.map((word) => (/^[\w./-]+$/.test(word) ? word : `"${word}"`))
  const answer = `${stdout}${stderr}`.trimEnd()
  const good = tell({ title, command: `certlatch ${words.join(' ')}`, answer, good: code === 0 })
  return { good, stdout }
}

async function tour(
  folder: string,
  options: Options,
  closers: (() => Promise<void>)[],
): Promise<boolean> {
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
  const server = makeServerCertificate(HOST, Math.floor(Date.now() / 1000))
  await writeFile(join(folder, 'server.crt'), server.certificate)
  const running = await front.start({
    folder,
    host: HOST,
    server,
    authorityFile: join(dataDir, 'public', 'ca.crt'),
    certlatchPort: certlatch.port,
    pagesPort: certlatch.pagesPort,
    applicationPort: application.port,
  })
  closers.push(running.close)

  const results: boolean[] = []
  const added = await tellCommand(
    certlatch,
    'a device gets a certificate (as PEM here, for curl)',
    ...['device', 'add', DEVICE, '--owner', 'Ada', '--format', 'pem', '--out', folder],
  )
  results.push(added.good)
  const [, path = ''] = /^package +(.+)$/m.exec(added.stdout) ?? []
  await certlatch.refreshed(1)
  const pem = await readFile(path, 'latin1')
  const visitor: Visitor = {
    target: { host: HOST, port: running.port, serverCertificate: server.certificate },
    url: `https://${HOST}:${running.port}`,
    shown: { certificate: pem, key: pem },
    file: basename(path),
  }
  const { cookie, results: opened } = await visitWithCertificate(visitor)
  results.push(...opened)
  const invited = await tellCommand(
    certlatch,
    'another device enrols itself: an invitation',
    ...['device', 'invite', "Grace's tablet", '--owner', 'Grace', '--url', visitor.url],
  )
  const [, link = ''] = /^(https:.*)$/m.exec(invited.stdout) ?? []
  results.push(invited.good, ...(await enrol(visitor.target, link, folder, tell)))
  if (options.stay) results.push(await stay(visitor.url, folder, certlatch))
  const revoked = await tellCommand(
    certlatch,
    `"${DEVICE}" is lost`,
    ...['device', 'revoke', DEVICE, '--reason', 'keyCompromise'],
  )
  results.push(revoked.good, ...(await visitAfterwards(visitor, cookie)))
  const good = results.every(Boolean)
  say()
  say(good ? `all ${results.length} answers were right` : 'some answers were wrong: see above')
  return good
}

interface Visitor {
  readonly target: Target
  readonly url: string
  readonly shown: Shown
  /** The name of the file with key and certificate. */
  readonly file: string
}

const CURL = 'curl --cacert server.crt'

async function visitWithCertificate({ target, url, shown, file }: Visitor) {
  const refused = await sendRequest(target, '/', {})
  const results = [
    tell({
      title: 'no certificate: denied',
      command: `${CURL} ${url}/`,
      answer: refused.summary,
      good: refused.status === 403,
    }),
  ]
  const opened = await sendRequest(target, '/', shown)
  const cookie = opened.cookie ?? ''
  results.push(
    tell({
      title: `the certificate of "${DEVICE}": allowed, and remembered in a cookie`,
      command: `${CURL} --cert ${file} -c jar ${url}/`,
      answer: `${opened.summary}\nSet-Cookie: ${cookie.slice(0, 36)}…`,
      good: opened.status === 200 && cookie !== '',
    }),
  )
  const byCookie = await sendRequest(target, '/', { cookie })
  results.push(
    tell({
      title: 'the cookie alone: the page is allowed',
      command: `${CURL} -b jar ${url}/`,
      answer: byCookie.summary,
      good: byCookie.status === 200,
    }),
  )
  const echo = await openWebSocket(target, { cookie }, 'hello')
  results.push(
    tell({
      title: 'the cookie alone: the WebSocket is allowed, which Safari needs',
      command: `${CURL} -b jar --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' … ${url}/`,
      answer: echo.summary,
      good: echo.open,
    }),
  )
  return { cookie, results }
}

async function visitAfterwards(
  { target, url, shown, file }: Visitor,
  cookie: string,
): Promise<readonly boolean[]> {
  const byCertificate = await sendRequest(target, '/', shown)
  const byCookie = await sendRequest(target, '/', { cookie })
  return [
    tell({
      title: 'revoked: the certificate is denied',
      command: `${CURL} --cert ${file} ${url}/`,
      answer: byCertificate.summary,
      good: byCertificate.status === 403,
    }),
    tell({
      title: 'revoked: its cookie is denied too',
      command: `${CURL} -b jar ${url}/`,
      answer: byCookie.summary,
      good: byCookie.status === 403,
    }),
  ]
}

async function stay(url: string, folder: string, certlatch: Certlatch): Promise<boolean> {
  const { good } = await tellCommand(
    certlatch,
    'a package for a browser: import it under this password',
    ...['device', 'renew', DEVICE, '--out', folder],
  )
  say()
  say(`# staying up: ${url}/`)
  say('the server certificate is a throw-away one: the browser will warn about it once')
  say('Ctrl-C revokes the device, shows that it is refused, and ends the demo')
  const forever = setInterval(() => undefined, 60_000)
  await new Promise<void>((resolve) => {
    process.removeAllListeners('SIGINT')
    process.once('SIGINT', resolve)
  })
  clearInterval(forever)
  return good
}

// A signal leaves nothing behind either: see the 'exit' listeners.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))
// A reader of only the first lines (`| head`) closes the pipe.
process.stdout.on('error', () => process.exit(1))
process.exitCode = (await main()) ? 0 : 1
