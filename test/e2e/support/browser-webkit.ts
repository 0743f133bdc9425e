import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Browser, type BrowserOptions, byScript, REMOTE_VALUE } from './browser.ts'
import { findProgram, programsMissing, repositoryFolder } from './tools.ts'

/** The system's Python: it has the bindings of the system's WebKit. */
const PYTHON = '/usr/bin/python3'
const HAS_BINDINGS = "import gi, cairo; gi.require_version('WebKit2', '4.1')"

/** What it reads of the system's, only for itself: names, and the authorities that it trusts. */
const OWN_FILES = `
mount --bind "$0" /etc/hosts
mount --bind "$1" /etc/ssl/certs/ca-certificates.crt
shift
exec "$@"`

/** What is missing to run it, as a reason to skip a test. */
export function webkitMissing(): string | false {
  const missing = programsMissing('xvfb-run', 'unshare', 'mount')
  if (missing) return missing
  if (userInfo().username !== 'root') return 'only root can give one program its own /etc/hosts'
  try {
    execFileSync(PYTHON, ['-c', HAS_BINDINGS], { stdio: 'ignore' })
    return false
  } catch {
    return 'WebKitGTK is missing: run test/e2e/tools.sh'
  }
}

/** WebKitGTK: the nearest to Safari that there is here, though its network is another. */
export async function startWebkit(options: BrowserOptions): Promise<Browser> {
  const { folder, server, device, width = 390, height = 800 } = options
  mkdirSync(folder, { recursive: true })
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content, { mode: 0o600 })
    return join(folder, name)
  }
  const credential = device
    ? [file('device.crt', device.certificate), file('device.key', device.key)]
    : []
  const hosts = file('hosts', '127.0.0.1 localhost home.example elsewhere.example\n')
  const script = join(repositoryFolder(), 'test/e2e/support/browser-webkit.py')
  const child = spawn(
    findProgram('unshare'),
    [
      ...['--mount', 'sh', '-ec', OWN_FILES, hosts, server.serverAuthorityFile],
      ...['xvfb-run', '-a', PYTHON, script, folder, String(width), String(height), ...credential],
    ],
    {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: folder,
        GSETTINGS_BACKEND: 'memory',
        LIBGL_ALWAYS_SOFTWARE: '1',
        WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      },
      stdio: ['pipe', 'pipe', process.env['CERTLATCH_E2E_PICTURES'] ? 'inherit' : 'ignore'],
    },
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const nextAnswer = async (): Promise<unknown> => {
    const { value, done } = await lines.next()
    if (done) throw new Error('WebKit has ended')
    const told = JSON.parse(value) as { readonly value?: unknown; readonly error?: string }
    if (told.error !== undefined) throw new Error(told.error)
    return told.value
  }
  // One after another: each command has one answer.
  let before: Promise<unknown> = nextAnswer()
  const command = (told: object): Promise<unknown> => {
    const answered = before.then(() => {
      child.stdin.write(`${JSON.stringify(told)}\n`)
      return nextAnswer()
    })
    before = answered.catch(() => undefined)
    return answered
  }
  const evaluate = (expression: string) => command({ evaluate: REMOTE_VALUE(expression) })
  await before
  return {
    name: 'webkit',
    open: async (address) => {
      await command({ open: address })
    },
    reload: async () => {
      await command({ reload: true })
    },
    evaluate,
    ...byScript(evaluate),
    picture: async () => {
      const path = join(folder, 'picture.png')
      await command({ picture: path })
      return readFileSync(path)
    },
    close: async () => {
      if (child.exitCode !== null) return
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}
