import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'

const REPOSITORY = join(import.meta.dirname, '../../..')
const read = (path: string) => readFile(join(REPOSITORY, path), 'utf8')

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

describe('the files of docker compose', () => {
  it('give Traefik the shipped dynamic file but for certificate, addresses and paths', async () => {
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
      ['http://127.0.0.1:8123', 'http://10.157.91.3:8123'],
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

  it('agree on every fixed address', async () => {
    const compose = await read('docker-compose.yml')
    const fixed = Object.fromEntries(
      [...compose.matchAll(/(gate|home): \{ ipv4_address: (\S+) \}/g)].map(
        ([, network, address], index) => [`${network} ${index}`, address],
      ),
    )
    assert.deepEqual(fixed, {
      'gate 0': '10.157.90.2',
      'home 1': '10.157.91.2',
      'gate 2': '10.157.90.3',
      'home 3': '10.157.91.3',
    })
    assert.match(compose, /^ {6}CERTLATCH_TRUSTED_PROXIES: 10\.157\.90\.2$/m)
    const configuration = 'deploy/compose/homeassistant/configuration.yaml'
    assert.deepEqual(await addressesIn(configuration), ['10.157.91.2'])
    assert.deepEqual(await addressesIn('deploy/traefik/compose/dynamic/certlatch.yml'), [
      '10.157.90.3',
      '10.157.91.3',
    ])
  })
})
