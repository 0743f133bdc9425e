import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { run } from '../src/cli/main.ts'
import { parseConfig } from '../src/config/config.ts'
import { OPTIONS } from '../src/config/options.ts'
import { DIALECTS, type Dialect, type DialectName } from '../src/proxy/dialects.ts'
import { createHeaderReader } from '../src/proxy/request-headers.ts'
import { documentsBelow } from './support/markdown.ts'
import { repository } from './support/repository.ts'

const ROOT = repository()

function filesBelow(path: string): readonly string[] {
  if (!statSync(join(ROOT, path)).isDirectory()) return [path]
  return readdirSync(join(ROOT, path))
    .sort()
    .flatMap((name) => filesBelow(join(path, name)))
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const DEPLOYED = filesBelow('deploy')
const DOCUMENTS = documentsBelow(ROOT)
const SHIPPED = [...DEPLOYED, 'docker-compose.yml', '.env.example', 'Dockerfile']
const dialects = Object.values(DIALECTS)

/** A proxy's configuration, without its README. */
const configurationOf = ({ name }: Dialect): string =>
  DEPLOYED.filter((path) => path.startsWith(`deploy/${name}/`) && !path.endsWith('.md'))
    .map(read)
    .join('\n')

/** All matches in all files, each as `file: match`. */
const found = (paths: readonly string[], pattern: RegExp): readonly (readonly [string, string])[] =>
  paths.flatMap((path) =>
    [...read(path).matchAll(pattern)].map(([all, part]) => [path, part ?? all] as const),
  )

const defaults = parseConfig({})
assert.ok(defaults.ok)
const { config } = defaults

for (const dialect of dialects) {
  const { name, certificateHeader, returnsCookie, asksForPage } = dialect
  const configuration = configurationOf(dialect)
  const lowerCase = configuration.toLowerCase()

  test(`${name}: the shipped configuration names the header that certlatch reads`, () => {
    assert.ok(lowerCase.includes(certificateHeader), certificateHeader)
    const { certificate } = createHeaderReader(dialect).read([certificateHeader, 'shown'])
    assert.equal(certificate, 'shown')
  })

  test(`${name}: every X-Forwarded-… header of the auth request is one that certlatch reads`, () => {
    const names = new Set(configuration.match(/X-Forwarded-(Method|Proto|Host|Uri|For)\b/gi))
    // Traefik and Caddy send the rest by themselves.
    assert.ok(names.size >= 2)
    for (const header of names) {
      const fields = createHeaderReader(dialect).read([header, 'told'])
      assert.ok(Object.values(fields).includes('told'), header)
    }
  })

  test(`${name}: auth requests go to certlatch's default address`, () => {
    const { host, port } = config.listen
    assert.ok(configuration.includes(`${host}:${port}`), `${host}:${port}`)
    assert.ok(configuration.includes('/verify'))
  })

  test(`${name}: certlatch's own prefix is routed as a whole, and to the pages' own port`, () => {
    const paths = new Set(configuration.match(/\/\\?\.certlatch\/[\w/.%*-]*/g))
    for (const path of paths) assert.match(path, /^\/\\?\.certlatch\/auth\/\*?$/)
    assert.ok(paths.size > 0)
    const { host, port } = config.pagesListen
    assert.ok(configuration.includes(`${host}:${port}`), `${host}:${port}`)
  })

  test(`${name}: the session cookie is removed where certlatch does not do it`, () => {
    const itself = configuration.includes(`${config.cookieName}=[^;]*`)
    const byAction = configuration.includes(`'${config.cookieName}'`)
    assert.equal(itself || byAction, !returnsCookie)
  })

  test(`${name}: a second auth request for the page is sent where certlatch answers it`, () => {
    assert.equal(/X-Certlatch-Page 1;/.test(configuration), asksForPage)
  })

  test(`${name}: the README beside it has the matching settings`, () => {
    const readme = read(`deploy/${name}/README.md`)
    const [, proxy] = /^CERTLATCH_PROXY=(\w+)$/m.exec(readme) ?? []
    const [, dataDir] = /^CERTLATCH_DATA_DIR=(\S+)$/m.exec(readme) ?? []
    assert.equal(proxy, name)
    const parsed = parseConfig({ CERTLATCH_PROXY: proxy, CERTLATCH_DATA_DIR: dataDir })
    assert.ok(parsed.ok)
    assert.equal(parsed.config.dialect.certificateHeader, certificateHeader)
    assert.ok(configuration.includes(parsed.config.ca.file), parsed.config.ca.file)
  })
}

test('Every certlatch cookie in the shipped files has the default name', () => {
  for (const [path, cookie] of found(DEPLOYED, /__(?:Host|Secure)-[\w-]+/g)) {
    assert.equal(cookie, config.cookieName, path)
  }
})

test('Every certlatch header in the shipped files exists', () => {
  const known = ['X-Certlatch-Device', 'X-Certlatch-Via', 'X-Certlatch-Page']
  const all = [...known, 'X-Certlatch-Proxy', 'X-Certlatch-Proxy-Secret'].map((name) =>
    name.toLowerCase(),
  )
  for (const [path, header] of found(SHIPPED, /\bx-certlatch-\w+(?:-\w+)*/gi)) {
    assert.ok(all.includes(header.toLowerCase()), `${path}: ${header}`)
  }
})

/** Where a proxy is configured to remove headers, file by file. */
const REMOVING: readonly (readonly [proxy: DialectName, path: string, removal: RegExp])[] = [
  ['traefik', 'deploy/traefik/dynamic.yml', /^ *([\w-]+): ""$/gm],
  ['traefik', 'deploy/traefik/compose/dynamic/certlatch.yml', /^ *([\w-]+): ""$/gm],
  ['traefik', 'deploy/traefik/scale/dynamic/certlatch.yml', /^ *([\w-]+): ""$/gm],
  [
    'traefik',
    'deploy/traefik/labels/compose.yml',
    /^ *traefik[\w.-]*\.customrequestheaders\.([\w-]+): ""$/gm,
  ],
  ['traefik', 'deploy/kubernetes/middlewares.yml', /^ *([\w-]+): ""$/gm],
  ['caddy', 'deploy/caddy/certlatch.caddy', /^\s*request_header -([\w-]+)$/gm],
  ['caddy', 'deploy/caddy/Caddyfile', /^\s*request_header -([\w-]+)$/gm],
  ['caddy', 'deploy/caddy/compose/Caddyfile', /^\s*request_header -([\w-]+)$/gm],
  [
    'nginx',
    'deploy/nginx/ask.conf',
    /^proxy_set_header ([\w-]+) (?:""|\$ssl_client_escaped_cert);/gm,
  ],
  [
    'nginx',
    'deploy/nginx/page.conf',
    /^proxy_set_header ([\w-]+) (?:""|\$ssl_client_escaped_cert);/gm,
  ],
  ['nginx', 'deploy/nginx/protect.conf', /^proxy_set_header ([\w-]+) "";/gm],
  ['haproxy', 'deploy/haproxy/haproxy.cfg', /^ *http-request del-header ([\w-]+)$/gm],
]

test('Each configuration removes the certificate headers of all proxies, and names its own', () => {
  const beside = ['x-forwarded-tls-client-cert-info', 'client-cert-chain']
  const wanted = [...dialects.map(({ certificateHeader }) => certificateHeader), ...beside]
  for (const [proxy, path, removal] of REMOVING) {
    const removed = found([path], removal).map(([, name]) => name.toLowerCase())
    for (const name of wanted) assert.ok(removed.includes(name), `${path}: ${name}`)
    if (path.endsWith('protect.conf')) continue
    const names = found([path], /^[^#\n]*X-Certlatch-Proxy:? (\w+)/gm).map(([, name]) => name)
    assert.deepEqual([...new Set(names)], [proxy], path)
  }
  const named = new Set(REMOVING.map(([, path]) => path))
  for (const [path] of found(DEPLOYED, /^[^#|\n]*X-Certlatch-Proxy(?!-)/gm)) {
    if (!path.endsWith('.md')) assert.ok(named.has(path), path)
  }
})

test('what a Caddyfile imports is what the shipped Caddyfile has', () => {
  const read = (name: string) => readFileSync(join(repository(), 'deploy/caddy', name), 'utf8')
  const within = (text: string, start: string) => {
    const from = text.indexOf(start)
    assert.notEqual(from, -1, start)
    return text.slice(from, text.indexOf('\n}\n', from)).replaceAll(/^\t+| *#.*$/gm, '')
  }
  const snippets = read('certlatch.caddy')
  const shipped = read('Caddyfile').replace('127.0.0.1:8123', '{args[0]}')
  assert.equal(within(snippets, '\troute {').trim(), within(shipped, '\troute {').trim())
  const asking = within(shipped, '\t\tclient_auth {')
  assert.ok(asking.startsWith(within(snippets, '\tclient_auth {').trim()), 'client_auth')
})

test('Caddy deletes after it sets: no block deletes by pattern what it sets', () => {
  for (const name of ['Caddyfile', 'certlatch.caddy', 'compose/Caddyfile']) {
    const path = `deploy/caddy/${name}`
    for (const [, block] of found([path], /reverse_proxy [^\n]*\{\n([\s\S]*?)\n\t\t\}/g)) {
      const sets = [...block.matchAll(/header_up ([\w-]+) /g)].map(([, name = '']) => name)
      for (const [, start = ''] of block.matchAll(/header_up -([\w-]+)\*/g)) {
        assert.deepEqual(
          sets.filter((name) => name.startsWith(start)),
          [],
          path,
        )
      }
    }
  }
})

test("Every certlatch port in the shipped files is a listener's default", () => {
  const ports = [config.listen, config.adminListen, config.pagesListen].map(({ port }) =>
    String(port),
  )
  for (const [path, port] of found(SHIPPED, /\b(91\d\d)\b/g)) {
    assert.ok(ports.includes(port), `${path}: ${port}`)
  }
})

test('Every setting that the shipped files and documents name exists', () => {
  const names = new Set<string>(
    OPTIONS.flatMap(({ name, secret }) => (secret ? [name, `${name}_FILE`] : [name])),
  )
  // Neither the tests' own variables nor those of the hook.
  const ours = /\bCERTLATCH_(?!E2E_|REVOKED_)[A-Z][A-Z_]*[A-Z]\b/g
  // The changelog names removed ones too.
  const present = DOCUMENTS.filter((path) => path !== 'CHANGELOG.md')
  for (const [path, name] of found([...SHIPPED, ...present], ours)) {
    assert.ok(names.has(name), `${path}: ${name}`)
  }
})

/** `certlatch word` where it is a command: in code, at a prompt, in a container's command. */
const COMMANDS = [
  /`certlatch ((?:device |key |ca )?[a-z-]+)/g,
  /^(?:\$ )?(?:[A-Z_]+=\S+ )*certlatch ((?:device |key |ca )?[a-z-]+)/gm,
  /exec certlatch certlatch ((?:device |key |ca )?[a-z-]+)/g,
  /main\.js ((?:device |key |ca )?[a-z-]+)/g,
  /"certlatch", ?"([a-z]+)"/g,
  /^CMD \["([a-z]+)"/gm,
]

/** What certlatch says of a command; `undefined` if it has none of this name. */
async function helpOf(word: string): Promise<string | undefined> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const never = () => new Promise<void>(() => undefined)
  const exitCode = await run([...word.split(' '), '--help'], {}, streams, never)
  return exitCode === 0 ? String(streams.stdout.read()) : undefined
}

test('Every certlatch command that the shipped files and documents show exists', async () => {
  const paths = [...SHIPPED, ...DOCUMENTS]
  // In prose a line may begin with the name; a command is in a code block.
  const codeOnly = (path: string): string =>
    path.endsWith('.md')
      ? (read(path).match(/^```[^`]*^```|`[^`\n]+`/gms) ?? []).join('\n')
      : read(path)
  const shown = paths.flatMap((path) =>
    COMMANDS.flatMap((pattern) =>
      [...codeOnly(path).matchAll(pattern)].map(([, word = '']) => ({ path, word })),
    ),
  )
  assert.ok(shown.length > 0)
  for (const { path, word } of shown) assert.ok(await helpOf(word), `${path}: ${word}`)
})

/** A command with what follows it on its line. */
const CALL = /certlatch ((?:device|key|ca) [a-z-]+|init|explain|status|serve)\b([^`|\n]*)/g

test('Every option that the documents show belongs to its command', async () => {
  const calls = found(DOCUMENTS, /(?<=^|`|\$ )(?:[A-Z_]+=\S+ )*(certlatch [^`\n]*)/gm).flatMap(
    ([path, line]) =>
      [...line.matchAll(CALL)].flatMap(([, command = '', rest = '']) =>
        (rest.match(/(?<= )--[a-z0-9-]+/g) ?? []).map((flag) => ({ path, command, flag })),
      ),
  )
  const table = read('docs/devices.md').matchAll(/^\| `(--[a-z0-9-]+)[^`]*` \|/gm)
  const added = [...table].map(([, flag = '']) => flag)
  const known = added.map((flag) => ({ path: 'docs/devices.md', command: 'device add', flag }))
  assert.ok(calls.length > 15 && known.length > 5)
  for (const { path, command, flag } of [...calls, ...known]) {
    const help = (await helpOf(command)) ?? assert.fail(`${path}: ${command}`)
    assert.ok(help.includes(flag) || flag === '--help', `${path}: certlatch ${command} ${flag}`)
  }
})

test('Every npm script that the documents show exists', () => {
  const { scripts } = JSON.parse(read('package.json'))
  for (const [path, name] of found(DOCUMENTS, /npm run ([a-z][a-z0-9:-]*)/g)) {
    assert.ok(Object.hasOwn(scripts, name), `${path}: npm run ${name}`)
  }
})

test("Traefik's configuration for compose blanks and passes on the same headers", () => {
  const headersOf = (path: string): readonly string[] =>
    // Lines in comments are optional settings.
    [
      ...read(path)
        .replaceAll(/#.*/g, '')
        .matchAll(/\b(?:X-[\w-]+|Remote-User|Cookie)\b/g),
    ]
      .map(([header]) => header)
      .filter((header) => header !== 'X-Certlatch-Proxy-Secret')
      .sort()
  assert.deepEqual(
    headersOf('deploy/traefik/compose/dynamic/certlatch.yml'),
    headersOf('deploy/traefik/dynamic.yml'),
  )
})
