import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../src/config/load.ts'
import { DENY_REASONS } from '../src/decision.ts'
import { createRegistry, createTally } from '../src/server/admin/metrics.ts'
import { repository, withSettingsTable } from './support/readme.ts'

const ROOT = repository()
const documents = readdirSync(ROOT).filter((name) => name.endsWith('.md'))
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8')

/** What stands in code in the first column of the table under a heading. */
function firstColumn(document: string, heading: string): readonly string[] {
  const [, section = ''] = new RegExp(`\n## ${heading}\n(.*?)(?=\n## |$)`, 's').exec(document) ?? []
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, cell = '']) => cell)
}

test('the settings in the README are those of the table of options', () => {
  const readme = read('README.md')
  const repair = 'run: npm run build && node dist/test/support/readme.js'
  assert.equal(readme, withSettingsTable(readme), repair)
})

test('the README says of every reason what to do, and of no other', () => {
  assert.deepEqual(firstColumn(read('README.md'), 'Reasons'), Object.keys(DENY_REASONS))
})

test('the README explains every metric of ours, and no other', () => {
  const unasked = () => assert.fail('nothing is scraped here')
  const registry = createRegistry(createTally(), {
    version: '0.0.0',
    sessionMaxAgeSeconds: 0,
    nowSeconds: unasked,
    snapshot: unasked,
    readiness: unasked,
    people: unasked,
    cacheEntries: unasked,
  })
  const names = registry.getMetricsAsArray().map(({ name }) => name)
  const ours = names.filter((name) => name.startsWith('certlatch_'))
  const explained = firstColumn(read('README.md'), 'Metrics and log')
  assert.deepEqual([...explained].sort(), ours.sort())
})

test('every message of the log that the README explains is one that certlatch writes', () => {
  const sources = readdirSync(join(ROOT, 'src/server'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join('src/server', name)))
    .join('\n')
  const [, section = ''] = /\n## The log\n(.*?)(?=\n## )/s.exec(read('README.md')) ?? []
  const rows = [...section.matchAll(/^\| (`[^|]*) \|/gm)].map(([, cell = '']) => cell)
  const explained = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text))
  assert.ok(explained.length > 15)
  for (const message of explained) {
    if (message !== 'msg') assert.ok(sources.includes(`'${message}'`), message)
  }
  const written = [...sources.matchAll(/log\.info\((?:[^()]|\([^()]*\))*?'([^']+)'\)/g)]
  const unexplained = written.map(([, message]) => message).filter((m) => !explained.includes(m))
  assert.deepEqual(unexplained, [])
})

test('every link within the repository leads somewhere', () => {
  const broken = documents.flatMap((name) => {
    const text = read(name)
    const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
    return targets
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !leadsSomewhere(name, target))
      .map((target) => `${name}: ${target}`)
  })
  assert.deepEqual(broken, [])
})

function leadsSomewhere(from: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? from : join(dirname(from), path)
  if (!existsSync(join(ROOT, file))) return false
  return anchor === undefined || anchorsOf(read(file)).includes(anchor)
}

/** As GitHub makes them from headings. */
function anchorsOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

test('what the texts of the proxies have for CERTLATCH_ON_REVOKE can be set, and is there', () => {
  const texts = readdirSync(join(ROOT, 'deploy'), { withFileTypes: true })
    .map(({ name }) => join('deploy', name, 'README.md'))
    .filter(
      (name) => existsSync(join(ROOT, name)) && /^CERTLATCH_(?:PROXY|ON_REVOKE)=/m.test(read(name)),
    )
  const hooks = texts.flatMap((name) => {
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

test('every npm script that a document names is in package.json', () => {
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
