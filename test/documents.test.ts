import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../src/config/load.ts'
import { DENY_REASONS } from '../src/decision.ts'
import { PRESETS } from '../src/policy/presets/presets.ts'
import { createRegistry } from '../src/server/admin/metrics.ts'
import { createTally } from '../src/server/admin/tally.ts'
import { anchorsOf, documentsBelow, firstColumn, prose, section } from './support/markdown.ts'
import { repository } from './support/repository.ts'
import { GENERATED, withTables } from './support/write-tables.ts'

const ROOT = repository()
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8')

const documents = documentsBelow(ROOT)

test('The README is for the first day: at most 230 lines', () => {
  assert.ok(read('README.md').split('\n').length <= 231)
})

test('The README says how to try it and how to test it in one line each', () => {
  for (const line of ['npm ci && npm run demo', 'npm ci && npm test']) {
    assert.ok(read('README.md').includes(`\`${line}\``), line)
  }
})

test('The README links to every page of docs/', () => {
  const readme = read('README.md')
  for (const page of readdirSync(join(ROOT, 'docs'))) {
    assert.ok(readme.includes(`](docs/${page})`), page)
  }
})

for (const document of GENERATED) {
  test(`The generated tables of ${document} match the code and the newest benchmark`, () => {
    const repair = 'run: npm run build && node dist/test/support/write-tables.js'
    assert.equal(read(document), withTables(document, read(document)), repair)
  })
}

test('Docs/reasons.md explains every reason, and no other', () => {
  assert.deepEqual(firstColumn(read('docs/reasons.md')), Object.keys(DENY_REASONS))
})

test('Docs/policy.md lists every preset, with its paths and what it can enable', () => {
  const presets = section(read('docs/policy.md'), 'Presets')
  assert.deepEqual([...firstColumn(presets)].sort(), PRESETS.map(({ name }) => name).sort())
  for (const { name, rules, switches } of PRESETS) {
    if (name === 'home-assistant') continue // Its page has its own table.
    const row = presets.split('\n').find((line) => line.startsWith(`| \`${name}\``)) ?? ''
    const all = [...rules, ...Object.values(switches).flatMap((choice) => choice.rules)]
    const paths = all.flatMap(({ path = [] }) =>
      path.map((one) => one.replace(/^\/audiobook\w+/, '')),
    )
    for (const word of paths) assert.ok(row.includes(`\`${word}\``), `${name}: ${word}`)
    for (const word of Object.keys(switches)) assert.ok(row.includes(word), `${name}: ${word}`)
  }
})

test('Docs/operations.md explains every metric of certlatch, and no other', () => {
  const unused = () => assert.fail('nothing is scraped here')
  const registry = createRegistry(createTally(), {
    version: '0.0.0',
    sessionMaxAgeSeconds: 0,
    nowSeconds: unused,
    snapshot: unused,
    readiness: unused,
    holders: unused,
    cacheEntries: unused,
  })
  const names = registry.getMetricsAsArray().map(({ name }) => name)
  const ours = names.filter((name) => name.startsWith('certlatch_'))
  const explained = firstColumn(section(read('docs/operations.md'), 'Metrics'))
  assert.deepEqual([...explained].sort(), ours.sort())
})

test('Every log message that docs/operations.md explains is one that certlatch writes', () => {
  const sources = readdirSync(join(ROOT, 'src/server'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join('src/server', name)))
    .join('\n')
  const rows = [
    ...section(read('docs/operations.md'), 'The log').matchAll(/^\| (`[^|]*) \|/gm),
  ].map(([, cell = '']) => cell)
  const explained = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text))
  assert.ok(explained.length > 15)
  for (const message of explained) {
    if (message !== 'msg') assert.ok(sources.includes(`'${message}'`), message)
  }
  const written = [...sources.matchAll(/log\.info\((?:[^()]|\([^()]*\))*?'([^']+)'\)/g)]
  const unexplained = written.map(([, message]) => message).filter((m) => !explained.includes(m))
  assert.deepEqual(unexplained, [])
})

for (const name of documents) {
  test(`Every link in ${name} within the repository has a target`, () => {
    const targets = [...prose(read(name)).matchAll(/\]\(([^)\s]+)\)/g)].map(
      ([, target = '']) => target,
    )
    const inside = targets.filter((target) => !/^[a-z]+:/.test(target))
    assert.deepEqual(
      inside.filter((target) => !leadsSomewhere(name, target)),
      [],
    )
  })
}

function leadsSomewhere(from: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? from : join(dirname(from), path)
  if (!existsSync(join(ROOT, file))) return false
  if (anchor === undefined) return true
  return !statSync(join(ROOT, file)).isDirectory() && anchorsOf(read(file)).includes(anchor)
}

test("Each CERTLATCH_ON_REVOKE in the proxies' pages is valid, and its script exists", () => {
  const pages = readdirSync(join(ROOT, 'deploy'), { withFileTypes: true })
    .map(({ name }) => join('deploy', name, 'README.md'))
    .filter(
      (name) => existsSync(join(ROOT, name)) && /^CERTLATCH_(?:PROXY|ON_REVOKE)=/m.test(read(name)),
    )
  const hooks = pages.flatMap((name) => {
    const found = /^CERTLATCH_ON_REVOKE='(.*)'$/m.exec(read(name)) ?? []
    return [{ name, value: found[1] ?? '' }]
  })
  assert.equal(hooks.length, 5)
  for (const { name, value } of hooks) {
    const loaded = loadConfig({ CERTLATCH_ON_REVOKE: value })
    assert.ok(loaded.ok, `${name}: ${value}`)
    for (const word of loaded.config.onRevoke ?? assert.fail(name)) {
      const [, file] = /^\/opt\/certlatch\/(.*)$/.exec(word) ?? []
      assert.ok(file === undefined || existsSync(join(ROOT, file)), `${name}: ${file}`)
    }
  }
})

test('Every npm script that a document names is in package.json', () => {
  const { scripts }: { scripts: Readonly<Record<string, string>> } = JSON.parse(
    read('package.json'),
  )
  const unknown = documents.flatMap((name) => {
    const named = [...read(name).matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)]
    return named
      .map(([, script = '', own = '']) => `${script}${own}`)
      .filter((script) => scripts[script] === undefined)
      .map((script) => `${name}: npm run ${script}`)
  })
  assert.deepEqual(unknown, [])
})

/** What the style of the documents rules out (CONTRIBUTING.md). */
const UNWANTED =
  /\b(?:whoever|anew|lest|nobody|somebody|anybody|everybody|likewise|stays? outside|(?:taken into|in) force)\b/gi

for (const name of documents.filter((path) => !path.startsWith('test/bench/results/'))) {
  test(`${name} is in plain English`, () => {
    assert.deepEqual(prose(read(name)).match(UNWANTED) ?? [], [])
  })
}
