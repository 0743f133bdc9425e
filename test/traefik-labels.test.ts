import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { parseConfig } from '../src/config/config.ts'
import { codeBlocks } from './support/markdown.ts'
import { repository } from './support/repository.ts'

const read = (path: string): string =>
  readFileSync(join(repository(), 'deploy/traefik', path), 'utf8')

type Tree = { [name: string]: Tree | string }

/** Labels as the tree that Traefik makes of them; a list stays one text, with commas. */
function treeOf(labels: Readonly<Record<string, string>>): Tree {
  const root: Tree = {}
  for (const [name, value] of Object.entries(labels)) {
    const path = name.split('.')
    const last = path.pop() ?? ''
    let at = root
    for (const step of path) {
      const next = at[step]
      const tree = typeof next === 'object' ? next : {}
      at[step] = tree
      at = tree
    }
    at[last] = value
  }
  return root
}

/** A part of the file in the form of labels: names in lower case but for headers, all values texts. */
function asLabels(value: unknown, isHeader = false): Tree | string {
  if (Array.isArray(value)) return value.join(',')
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const key = isHeader ? name : name.toLowerCase()
      return [key, asLabels(inner, key === 'customrequestheaders')]
    }),
  )
}

/** Settings of a file as arguments, whose names Traefik reads in any case. */
const argumentsOf = (settings: object, prefix = '--'): readonly string[] =>
  Object.entries(settings).flatMap(([name, value]) =>
    typeof value === 'object'
      ? argumentsOf(value, `${prefix}${name}.`)
      : [`${prefix}${name}=${value}`.toLowerCase()],
  )

const shipped = parse(read('dynamic.yml'))
/** As compose fills it in. */
const filledIn = read('labels/compose.yml')
  .replaceAll(/\$\{DOMAIN\}/g, 'home.example')
  .replaceAll(/\$\{ENTRYPOINT:-(\w+)\}/g, '$1')
const { name: project, services, networks } = parse(filledIn)
const { labels, environment } = services.certlatch
const { http } = treeOf(labels)['traefik'] as { http: Record<string, Tree> }
const { middlewares = {}, routers = {} } = http

test('the labels are the middlewares of dynamic.yml, in the same order', () => {
  const { 'from-client': fromClient, 'for-pages': forPages, ...others } = shipped.http.middlewares
  const { certlatch } = others
  certlatch.forwardAuth.address = 'http://10.157.92.3:9180/verify'
  assert.deepEqual(middlewares, {
    'certlatch-from-client': asLabels(fromClient),
    'certlatch-for-pages': asLabels(forPages),
    'certlatch-client-certificate': asLabels(others['client-certificate']),
    'certlatch-ask': asLabels(certlatch),
    certlatch: {
      chain: {
        middlewares: 'certlatch-from-client,certlatch-client-certificate,certlatch-ask',
      },
    },
  })
  const order = ['from-client', 'client-certificate', 'certlatch']
  assert.deepEqual(shipped.http.routers.homeassistant.middlewares, order)
})

test('the labels have the routes of dynamic.yml, each with the TLS option of the file beside them', () => {
  const { rule, priority, middlewares: through } = shipped.http.routers['certlatch-pages']
  const common = {
    entrypoints: shipped.http.routers['certlatch-pages'].entryPoints.join(),
    tls: 'true',
    'tls.options': 'certlatch@file',
  }
  const flat = (name: string) =>
    Object.fromEntries(
      Object.entries<string>(labels).flatMap(([label, value]) => {
        const [, rest] = label.split(`traefik.http.routers.${name}.`)
        return rest === undefined ? [] : [[rest, value]]
      }),
    )
  assert.deepEqual(Object.keys(routers), ['certlatch-pages', 'certlatch-preflights'])
  assert.deepEqual(flat('certlatch-pages'), {
    ...common,
    rule,
    priority: String(priority),
    middlewares: through.map((name: string) => `certlatch-${name}`).join(','),
    service: 'certlatch-pages',
  })
  // What the application's route leaves out there.
  const [host = '', preflight = ''] = shipped.http.routers.homeassistant.rule.split(' && !(')
  assert.deepEqual(flat('certlatch-preflights'), {
    ...common,
    rule: `${host} && ${preflight.slice(0, -1)}`,
    priority: String(priority + 1),
    service: 'noop@internal',
  })
  const { certlatch, ...more } = parse(read('labels/certlatch.yml')).tls.options
  const { clientAuth } = shipped.tls.options.default
  assert.deepEqual(more, {})
  assert.deepEqual(certlatch.clientAuth, { ...clientAuth, caFiles: ['/certlatch/ca.crt'] })
})

test('README.md has the lines of traefik.yml, as arguments and as a file', () => {
  const page = read('labels/README.md')
  const [file = ''] = codeBlocks(page, 'yaml').filter((block) => block.startsWith('entryPoints:'))
  const { entryPoints, providers } = parse(read('traefik.yml'))
  // There already: what is not certlatch's.
  delete entryPoints.websecure.address
  delete entryPoints.websecure.http.tls
  assert.deepEqual(parse(file), { entryPoints, providers: { file: { directory: '/dynamic' } } })
  assert.ok('filename' in providers.file)
  const lines = [...page.matchAll(/(?<=^ +- )--.*$/gm)].map(([line]) => line.toLowerCase())
  assert.deepEqual([...lines].sort(), [...argumentsOf(parse(file))].sort())
})

test('certlatch gets the settings that docker-compose.yml gives it, but no listener for Prometheus', () => {
  const beside = parse(readFileSync(join(repository(), 'docker-compose.yml'), 'utf8'), {
    merge: true,
  })
  const { CERTLATCH_ADMIN_LISTEN: _, ...others } = beside.services.certlatch.environment
  assert.deepEqual(Object.keys(environment), Object.keys(others))
  const fromEnvironment = (settings: object) =>
    Object.entries(settings).filter(([, value]) => value === null)
  assert.deepEqual(fromEnvironment(environment), fromEnvironment(others))
  // One name for both, and each would remove the other's containers as orphans.
  assert.notEqual(project, beside.name)
})

test('.env.example shows all that compose.yml takes from .env, and nothing else', () => {
  const text = read('labels/compose.yml').replaceAll(/^\s*#.*$/gm, '')
  const taken = [...text.matchAll(/\$\{(\w+)/g), ...text.matchAll(/^ {6}(CERTLATCH_\w+):$/gm)]
  const shown = [...read('labels/.env.example').matchAll(/^(?:# )?([A-Z_]+)=/gm)]
  const namesOf = (found: readonly RegExpMatchArray[]) =>
    [...new Set(found.map(([, name]) => name))].sort()
  // Compose itself sets this one.
  const own = 'COMPOSE_PROJECT_NAME'
  assert.deepEqual(
    namesOf(taken).filter((name) => name !== own),
    namesOf(shown),
  )
})

test('certlatch is alone on its network, and trusts the address that README.md gives Traefik', () => {
  const { gate } = networks
  assert.equal(gate.internal, true)
  assert.deepEqual(Object.keys(services), ['certlatch'])
  assert.deepEqual(services.certlatch.networks, { gate: { ipv4_address: '10.157.92.3' } })
  const [address = ''] =
    /(?<=certlatch: \{ ipv4_address: )[\d.]+/.exec(read('labels/README.md')) ?? []
  assert.equal(environment.CERTLATCH_TRUSTED_PROXIES, address)
  assert.ok(parseConfig({ CERTLATCH_TRUSTED_PROXIES: address }).ok)
})
