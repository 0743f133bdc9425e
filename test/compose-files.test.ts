import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { parseConfig } from '../src/config/config.ts'
import { OPTIONS } from '../src/config/options.ts'

const REPOSITORY = join(import.meta.dirname, '../..')
const read = (path: string) => readFile(join(REPOSITORY, path), 'utf8')

/** `!override` is compose's own: this takes the place of what another file says. */
const COMPOSE_TAGS = { customTags: [{ tag: '!override', collection: 'map' as const }], merge: true }

/** The lines of a file that say something, without their comments. */
const lines = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trimEnd())
    .filter((line) => line !== '')

/** Replaces parts of a text, each of which has to be there. */
function replaced(text: string, replacements: readonly (readonly [string, string])[]): string {
  return replacements.reduce((before, [part, replacement]) => {
    assert.ok(before.includes(part), part)
    return before.replaceAll(part, () => replacement)
  }, text)
}

async function addressesIn(path: string): Promise<readonly string[]> {
  return [...new Set((await read(path)).match(/10\.157\.\d+\.\d+/g))].sort()
}

const fixedAddresses = (compose: string): readonly string[] =>
  [...compose.matchAll(/(\w+): \{ ipv4_address: (\S+) \}/g)].map(
    ([, network, address]) => `${network} ${address}`,
  )

const composeFiles = async (): Promise<readonly string[]> =>
  (await readdir(join(REPOSITORY, 'deploy/compose'), { recursive: true }))
    .filter((path) => path.endsWith('.yml'))
    .map((path) => join('deploy/compose', path))

const namesIn = (found: readonly RegExpMatchArray[]): readonly string[] =>
  [...new Set(found.map(([, name = '']) => name))].sort()

describe('The docker compose files', () => {
  it('give Traefik the shipped dynamic file, except for certificate, addresses and paths', async () => {
    const shipped = lines(await read('deploy/traefik/dynamic.yml')).join('\n')
    const expected = replaced(shipped, [
      [
        `  certificates:
    - certFile: /etc/traefik/server.crt
      keyFile: /etc/traefik/server.key
`,
        '',
      ],
      ['/var/lib/certlatch/public/ca.crt', '/certlatch/ca.crt'],
      ['http://127.0.0.1:9180', 'http://10.157.90.3:9180'],
      ['http://127.0.0.1:9182', 'http://10.157.90.3:9182'],
      ['http://127.0.0.1:8123', `'{{ env "HOME_ASSISTANT_URL" }}'`],
      ['home.example', '{{ env "DOMAIN" }}'],
    ])
    const own = lines(await read('deploy/traefik/compose/dynamic/certlatch.yml')).join('\n')
    assert.equal(own, expected)
  })

  it("give Traefik the shipped static file, a health check and Let's Encrypt", async () => {
    const shipped = lines(await read('deploy/traefik/traefik.yml')).join('\n')
    const expected = replaced(shipped, [
      ['tls: {}', 'tls: { certResolver: letsencrypt }'],
      ['filename: /etc/traefik/dynamic.yml', 'directory: /etc/traefik/dynamic'],
      [
        'providers:',
        `  ping:
    address: "127.0.0.1:8080"
ping: { entryPoint: ping }
providers:`,
      ],
    ])
    const added = `
certificatesResolvers:
  letsencrypt:
    acme:
      storage: /acme/acme.json
      tlsChallenge: {}`
    const own = lines(await read('deploy/traefik/compose/traefik.yml')).join('\n')
    assert.equal(own, expected + added)
  })

  it('give Caddy the shipped file, except for addresses, name and path', async () => {
    const expected = replaced(await read('deploy/caddy/Caddyfile'), [
      ['127.0.0.1:9180', '10.157.90.3:9180'],
      ['127.0.0.1:9182', '10.157.90.3:9182'],
      ['127.0.0.1:8123', '{$HOME_ASSISTANT_URL}'],
      ['\nhome.example {', '\n{$DOMAIN} {'],
      ['/var/lib/certlatch/public/ca.crt', '/certlatch/ca.crt'],
    ])
    assert.deepEqual(lines(await read('deploy/caddy/compose/Caddyfile')), lines(expected))
  })

  it('give Prometheus the shipped file, except for the address, and without Alertmanager', async () => {
    const shipped = lines(await read('deploy/prometheus/prometheus.yml'))
    const from = shipped.indexOf('alerting:')
    const expected = shipped.toSpliced(from, shipped.indexOf('scrape_configs:') - from).join('\n')
    assert.equal(
      lines(await read('deploy/prometheus/compose/prometheus.yml')).join('\n'),
      replaced(expected, [
        ['127.0.0.1:9181', '10.157.93.3:9181'],
        ['- certlatch.rules.yml', '- ../certlatch.rules.yml'],
      ]),
    )
  })

  it('give Prometheus the same file for three replicas, except for their addresses', async () => {
    const one = lines(await read('deploy/prometheus/compose/prometheus.yml')).join('\n')
    const three = [4, 5, 6].map((last) => `"10.157.96.${last}:9181"`).join(', ')
    assert.equal(
      lines(await read('deploy/prometheus/scale/prometheus.yml')).join('\n'),
      replaced(one, [['"10.157.93.3:9181"', three]]),
    )
    const command = (text: string) => /^ {4}command:\n(?: {6}- .*\n)+/m.exec(text)?.[0]
    assert.equal(
      command(await read('deploy/compose/scale.yml')),
      command(await read('docker-compose.yml'))?.replace('/compose/', '/scale/'),
    )
  })

  it('give Grafana the shipped files, except for the address', async () => {
    const shipped = lines(await read('deploy/grafana/provisioning/datasources/certlatch.yml'))
    assert.equal(
      lines(await read('deploy/grafana/compose/certlatch.yml')).join('\n'),
      replaced(shipped.join('\n'), [['http://127.0.0.1:9090', 'http://10.157.94.2:9090']]),
    )
    const provider = await read('deploy/grafana/provisioning/dashboards/certlatch.yml')
    const [, folder = ''] = /^ +path: (\S+)$/m.exec(provider) ?? []
    assert.ok(
      (await read('docker-compose.yml')).includes(`./deploy/grafana/dashboards:${folder}:ro`),
    )
  })

  it('agree on every fixed address', async () => {
    const compose = await read('docker-compose.yml')
    assert.deepEqual(fixedAddresses(compose), [
      'gate 10.157.90.2',
      'home 10.157.91.2',
      'gate 10.157.90.3',
      'watch 10.157.93.3',
      'watch 10.157.93.2',
      'graphs 10.157.94.2',
      'graphs 10.157.94.3',
    ])
    assert.match(compose, /^ {6}CERTLATCH_ADMIN_LISTEN: 10\.157\.93\.3:9181$/m)
    assert.match(compose, /^ {6}CERTLATCH_TRUSTED_PROXIES: 10\.157\.90\.2$/m)
    const homeAssistant = 'deploy/compose/homeassistant'
    assert.deepEqual(await addressesIn(`${homeAssistant}/http.yaml`), ['10.157.91.2'])
    assert.match(await read(`${homeAssistant}/start.sh`), /^proxy=10\.157\.91\.2$/m)
    for (const proxy of ['traefik/compose/dynamic/certlatch.yml', 'caddy/compose/Caddyfile']) {
      assert.deepEqual(await addressesIn(`deploy/${proxy}`), ['10.157.90.3'])
    }
  })

  it('lead the proxy to where Home Assistant listens, on the bridge and on the host', async () => {
    const { networks } = parse(await read('docker-compose.yml'), COMPOSE_TAGS)
    const [{ gateway }] = networks.home.ipam.config
    const bridge = parse(await read('deploy/compose/home-assistant.yml')).services
    const host = parse(await read('deploy/compose/home-assistant-host.yml')).services
    const { ipv4_address: address } = bridge.homeassistant.networks.home
    assert.equal(bridge.proxy.environment.HOME_ASSISTANT_URL, `http://${address}:8123`)
    assert.equal(host.proxy.environment.HOME_ASSISTANT_URL, `http://${gateway}:8123`)
    assert.equal(host.homeassistant.environment.LISTEN_ADDRESS, gateway)
    assert.equal(host.homeassistant.network_mode, 'host')
    assert.equal(host.homeassistant.healthcheck.test.at(-1), `http://${gateway}:8123/manifest.json`)
  })

  it('define one service `proxy`, whichever it is and wherever Home Assistant runs', async () => {
    for (const place of ['', '-host', '-elsewhere']) {
      const { proxy } = parse(await read(`deploy/compose/home-assistant${place}.yml`)).services
      assert.deepEqual(proxy.extends, {
        file: `proxy/compose.\${CERTLATCH_PROXY:-traefik}.yml`,
        service: 'proxy',
      })
    }
    for (const name of ['traefik', 'caddy']) {
      const { services } = parse(await read(`deploy/compose/proxy/compose.${name}.yml`))
      assert.deepEqual(Object.keys(services), ['proxy'])
    }
  })

  it('take from .env what .env.example shows, which shows all that they take', async () => {
    const files = ['docker-compose.yml', ...(await composeFiles())]
    const texts = await Promise.all(files.map(read))
    const text = texts.flatMap(lines).join('\n')
    const taken = [...text.matchAll(/\$\{(\w+)/g), ...text.matchAll(/^ {6}(CERTLATCH_\w+):$/gm)]
    const shown = [...(await read('.env.example')).matchAll(/^(?:# )?([A-Z_]+)=/gm)]
    const own = ['COMPOSE_PROFILES', 'COMPOSE_FILE']
    // Never set: Compose stops at this one, with a message.
    const stop = 'HOME_ASSISTANT_IN_ONE_PLACE'
    assert.deepEqual(
      namesIn(shown),
      [...namesIn(taken).filter((name) => name !== stop), ...own].sort(),
    )
  })

  it('are where Dependabot finds each image of a version', async () => {
    const { updates } = parse(await read('.github/dependabot.yml'))
    const [{ directories }] = updates.filter(
      (update: Record<string, string>) => update['package-ecosystem'] === 'docker-compose',
    )
    const seen: readonly string[] = directories.flatMap((directory: string) => {
      const names = readdirSync(join(REPOSITORY, directory)).filter((name) =>
        /(docker-)?compose(-\w+)?(\.[\w-]+)?\.ya?ml/.test(name),
      )
      // Without such a file it stops with an error.
      assert.notDeepEqual(names, [], directory)
      return names.map((name) => join('.', directory, name))
    })
    for (const path of ['docker-compose.yml', ...(await composeFiles())]) {
      const hasVersion = /^ +image: [^$].*:v?\d/m.test(await read(path))
      assert.ok(!hasVersion || seen.includes(path), path)
    }
  })

  it("show certlatch's own defaults in .env.example", async () => {
    const example = await read('.env.example')
    for (const [, name = '', value] of example.matchAll(
      /^# (CERTLATCH_(?:SESSION|LOG)_\w+)=(.*)$/gm,
    )) {
      assert.equal(value, OPTIONS.find((option) => option.name === name)?.default, name)
    }
  })

  it('give Traefik several replicas by the same lines, and an internal entry point in between', async () => {
    const single = parse(await read('deploy/traefik/compose/dynamic/certlatch.yml'))
    const several = parse(await read('deploy/traefik/scale/dynamic/certlatch.yml'))
    const { 'ask-another': again, ...middlewares } = several.http.middlewares
    const { 'ask-certlatch': asking, ...routers } = several.http.routers
    const { certlatch, ...services } = several.http.services
    single.http.middlewares.certlatch.forwardAuth.address = 'http://127.0.0.1:8181/verify'
    assert.deepEqual(middlewares, single.http.middlewares)
    assert.deepEqual(routers, single.http.routers)
    assert.deepEqual(services.homeassistant, single.http.services.homeassistant)
    assert.deepEqual(several.tls, single.tls)
    assert.deepEqual(asking, {
      rule: 'Path(`/verify`)',
      entryPoints: ['ask'],
      middlewares: ['ask-another'],
      service: 'certlatch',
    })
    assert.ok(again.retry.attempts >= certlatch.loadBalancer.servers.length)
  })

  it('let only Traefik reach the internal entry point, and trust only itself there', async () => {
    const single = parse(await read('deploy/traefik/compose/traefik.yml'))
    const several = parse(await read('deploy/traefik/scale/traefik.yml'))
    const { ask, ...entryPoints } = several.entryPoints
    assert.deepEqual({ ...several, entryPoints }, single)
    assert.deepEqual(ask, {
      address: '127.0.0.1:8181',
      forwardedHeaders: { trustedIPs: ['127.0.0.1'] },
    })
  })

  it('agree on the addresses of the replicas, which use all that there are', async () => {
    const { services, networks } = parse(await read('deploy/compose/scale.yml'), COMPOSE_TAGS)
    const addresses = ['10.157.95.4', '10.157.95.5', '10.157.95.6']
    const dynamic = parse(await read('deploy/traefik/scale/dynamic/certlatch.yml'))
    const { servers } = dynamic.http.services.certlatch.loadBalancer
    const urls = servers.map(({ url }: { readonly url: string }) => url)
    assert.deepEqual(
      urls,
      addresses.map((address) => `http://${address}:9180`),
    )
    // The last of a range's four addresses is the subnet's broadcast address.
    const inside = (start: string) => ({
      internal: true,
      ipam: {
        config: [{ subnet: `${start}.0/29`, gateway: `${start}.1`, ip_range: `${start}.4/30` }],
      },
    })
    assert.deepEqual(networks, {
      replicas: inside('10.157.95'),
      'watched-replicas': inside('10.157.96'),
    })
    const { ipv4_address: proxy } = services.proxy.networks.replicas
    assert.equal(proxy, '10.157.95.2')
    const { CERTLATCH_TRUSTED_PROXIES: trusted } = services.certlatch.environment
    assert.equal(trusted, `${proxy},loopback`)
    assert.ok(parseConfig({ CERTLATCH_TRUSTED_PROXIES: trusted }).ok)
    assert.deepEqual(services.certlatch.networks, { replicas: {}, 'watched-replicas': {} })
    const watched = services.prometheus.networks
    assert.deepEqual(watched['watched-replicas'], { ipv4_address: '10.157.96.2' })
  })
})
