import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { CASES } from './contract/contract.ts'
import { type Certlatch, PROXY_SECRET, runCommand, startCertlatch } from './support/certlatch.ts'
import type { Protocol } from './support/client.ts'
import {
  type Gate,
  type Places,
  type ProxyKind,
  startGate,
  startWorld,
  type World,
} from './support/gate.ts'
import { type KubernetesApi, type Resource, startKubernetesApi } from './support/kubernetes-api.ts'
import { projectSecret } from './support/kubernetes-volume.ts'
import { base64Der, type Credential } from './support/pki.ts'
import { withGate } from './support/run.ts'
import {
  findProgram,
  programsMissing,
  repositoryFolder,
  toolsFolder,
  until,
} from './support/tools.ts'

const FOLDER = join(repositoryFolder(), 'deploy/kubernetes')
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')

/** What a program prints; it has to succeed. */
function outputOf(program: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8' })
  if (error) throw error
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`)
  return stdout
}

const render = (): string =>
  programsMissing('kustomize') === false
    ? outputOf(findProgram('kustomize'), ['build', FOLDER])
    : outputOf(findProgram('kubectl'), ['kustomize', FOLDER])

// --- the schemas ------------------------------------------------------------------------------------

const PYTHON = join(toolsFolder(), 'bin/python')
/** Modules of Go that carry the definitions of custom resources, and where. */
const DEFINITIONS = [
  [
    'github.com/traefik/traefik/v3@v3.6.1',
    'docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml',
  ],
  [
    'github.com/prometheus-operator/prometheus-operator@v0.84.0',
    'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
  ],
] as const
/** Traefik's newest definitions that are published as a module are older than this field. */
const NEWER =
  "Middleware certlatch: $.spec.forwardAuth: Additional properties are not allowed ('maxResponseBodySize' was unexpected)"

function fetchDefinitions(): readonly string[] {
  return DEFINITIONS.map(([module, path]) => {
    const told = outputOf(findProgram('go'), ['mod', 'download', '-json', module])
    return join(JSON.parse(told).Dir, path)
  })
}

function schemasMissing(): string | false {
  if (programsMissing('kustomize') && programsMissing('kubectl')) return 'no kubectl'
  if (spawnSync(PYTHON, ['-c', 'import kubernetes_validate']).status !== 0) {
    return 'kubernetes-validate is missing: run test/e2e/tools.sh'
  }
  return programsMissing('go')
}

describe('The schemas of the Kubernetes API', { skip: schemasMissing() }, () => {
  const script = join(repositoryFolder(), 'test/e2e/support/kubernetes-schemas.py')
  let definitions: readonly string[]
  const problemsOf = (version: string, manifests: string) =>
    outputOf(PYTHON, [script, version, ...definitions], manifests)
      .split('\n')
      .filter((line) => line !== '')

  before(() => {
    definitions = fetchDefinitions()
  })

  for (const version of ['1.30.0', '1.34.0', '1.37.0']) {
    it(`have every field of the manifests, in ${version}`, () => {
      const manifests = `${render()}\n---\n${read('service-monitor.yml')}`
      assert.deepEqual(problemsOf(version, manifests), [NEWER])
    })
  }

  it('would detect a field that they do not have', () => {
    const misspelt = render()
      .replace('readOnlyRootFilesystem', 'readOnlyFilesystem')
      .replace('trustForwardHeader', 'trustForwardHeaders')
      .replace('RequestClientCert', 'RequestCert')
    assert.equal(problemsOf('1.34.0', misspelt).length, 3)
  })
})

// --- the volumes ------------------------------------------------------------------------------------

/** Secrets by their names: what publish.sh would have applied. */
type Secrets = ReadonlyMap<string, ReadonlyMap<string, Buffer>>

const MOUNTS = [
  ['certlatch-public', 'public'],
  ['certlatch-private', 'private'],
  ['certlatch-devices', 'private/devices'],
] as const

describe('Replicas on Secrets', { skip: programsMissing('kubectl', 'openssl') }, () => {
  let folder: string
  let owner: Readonly<Record<string, string>>
  let replicas: readonly { readonly folder: string; readonly certlatch: Certlatch }[]
  let device: Credential
  let cookie: string
  let first: Secrets

  /** publish.sh itself, with the real kubectl for all but the cluster. */
  function publish(): Secrets {
    const applied = join(folder, 'applied.yml')
    const wrapper = `#!/bin/sh
if [ "$1" = apply ]; then exec cat > '${applied}'; fi
exec '${findProgram('kubectl')}' "$@"
`
    const bin = join(folder, 'bin')
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, 'kubectl'), wrapper, { mode: 0o755 })
    const { status, stderr } = spawnSync(
      join(FOLDER, 'publish.sh'),
      [owner['CERTLATCH_DATA_DIR'] ?? ''],
      { env: { PATH: `${bin}:/usr/bin:/bin` }, encoding: 'utf8' },
    )
    assert.equal(status, 0, stderr)
    const documents = parseAllDocuments(readFileSync(applied, 'utf8')).map((one) => one.toJS())
    return new Map(
      documents.filter(Boolean).map(({ metadata, data }) => {
        const files = Object.entries<string>(data ?? {})
        const decoded = files.map(([key, text]) => [key, Buffer.from(text, 'base64')] as const)
        return [metadata.name, new Map(decoded)]
      }),
    )
  }

  const mount = (data: string, secrets: Secrets) => {
    for (const [name, place] of MOUNTS) {
      projectSecret(join(data, place), secrets.get(name) ?? new Map())
    }
  }

  const mountAll = (secrets: Secrets) => {
    for (const replica of replicas) mount(join(replica.folder, 'data'), secrets)
  }

  async function ask(
    { port }: Certlatch,
    shown: { readonly certificate?: Credential; readonly cookie?: string },
  ) {
    const { certificate, cookie: pair } = shown
    const { status, headers } = await fetch(`http://127.0.0.1:${port}/verify`, {
      headers: {
        'X-Certlatch-Proxy-Secret': PROXY_SECRET,
        'X-Forwarded-Method': 'GET',
        'X-Forwarded-Proto': 'https',
        'X-Forwarded-Host': 'home.example',
        'X-Forwarded-Uri': '/',
        'X-Forwarded-For': '192.0.2.1',
        ...(certificate && { 'X-Forwarded-Tls-Client-Cert': base64Der(certificate) }),
        ...(pair !== undefined && { Cookie: pair }),
      },
    })
    return { status, cookie: headers.getSetCookie()[0]?.split(';')[0] }
  }

  const statuses = (shown: Parameters<typeof ask>[1]) =>
    Promise.all(replicas.map(async ({ certlatch }) => (await ask(certlatch, shown)).status))

  async function inForce(shown: Parameters<typeof ask>[1], status: number): Promise<void> {
    const all = replicas.map(() => status)
    await until(
      `both answer ${status}`,
      async () => JSON.stringify(await statuses(shown)) === JSON.stringify(all),
      1_500,
    )
  }

  async function run(...args: readonly string[]) {
    const ended = await runCommand(owner, ...args)
    assert.equal(ended.code, 0, ended.stderr)
    return ended
  }

  async function addDevice(name: string): Promise<Credential> {
    const { stdout } = await run('device', 'add', name, '--format', 'pem', '--out', '-')
    return { certificate: stdout.slice(stdout.indexOf('-----BEGIN CERTIFICATE')), key: stdout }
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'certlatch-kubernetes-'))
    owner = { CERTLATCH_DATA_DIR: join(folder, 'owner') }
    await run('init')
    device = await addDevice("Ada's phone")
    first = publish()
    const started = ['a', 'b'].map(async (name) => {
      const place = join(folder, name)
      mount(join(place, 'data'), first)
      const settings = {
        CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
        CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
      }
      return {
        folder: place,
        certlatch: await startCertlatch(place, 'traefik', undefined, settings),
      }
    })
    replicas = await Promise.all(started)
  })

  after(async () => {
    await Promise.all((replicas ?? []).map(({ certlatch }) => certlatch.close()))
    rmSync(folder, { recursive: true })
  })

  it("get neither the CA's key nor anything else that they do not read", () => {
    const keys = [...first].flatMap(([, files]) => [...files.keys()])
    assert.deepEqual(keys.slice(0, 3), ['ca.crl', 'ca.crt', 'session.keys'])
    assert.equal(keys.length, 4)
    assert.match(keys[3] ?? '', /^[0-9a-f-]{36}\.json$/)
  })

  it("accept the certificate, and each accepts the other's cookie", async () => {
    const [one, other] = replicas
    assert.ok(one && other)
    const opened = await ask(one.certlatch, { certificate: device })
    assert.equal(opened.status, 200)
    cookie = opened.cookie ?? ''
    assert.equal((await ask(other.certlatch, { cookie })).status, 200)
  })

  it('accept a new device as soon as its Secret has reached them', async () => {
    const tablet = await addDevice("Grace's tablet")
    assert.deepEqual(await statuses({ certificate: tablet }), [403, 403])
    mountAll(publish())
    await inForce({ certificate: tablet }, 200)
  })

  it('load a new session key without logging anyone out', async () => {
    await run('key', 'rotate', '--after', '2s')
    const rotated = publish()
    const [one, other] = replicas
    assert.ok(one && other)
    // One replica gets it later than the other, and both before it signs.
    mount(join(one.folder, 'data'), rotated)
    assert.deepEqual(await statuses({ cookie }), [200, 200])
    mount(join(other.folder, 'data'), rotated)
    await until('the new key signs', async () => {
      const { cookie: next } = await ask(one.certlatch, { certificate: device })
      assert.ok(next)
      const before = await keyOf(cookie)
      return (
        (await keyOf(next)) !== before &&
        (await ask(other.certlatch, { cookie: next })).status === 200
      )
    })
    assert.deepEqual(await statuses({ cookie }), [200, 200])
  })

  it('refuse a revoked device as soon as the CRL has reached them, without confirming it', async () => {
    const { stderr } = await run('device', 'revoke', "Ada's phone")
    assert.match(stderr, /not confirmed: no running service/)
    assert.deepEqual(await statuses({ cookie }), [200, 200])
    mountAll(publish())
    await inForce({ cookie }, 403)
    assert.deepEqual(await statuses({ certificate: device }), [403, 403])
  })

  it('keep the newest CRL when an older Secret comes back', async () => {
    mountAll(first)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    assert.deepEqual(await statuses({ certificate: device }), [403, 403])
    assert.deepEqual(await statuses({ cookie }), [403, 403])
  })
})

/** The id of the key that has signed a session. */
async function keyOf(pair: string): Promise<string> {
  const payload = pair.split('.')[1] ?? ''
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))[0]
}

// --- Traefik ----------------------------------------------------------------------------------------

const SECRET_PLACE = 'the-value-of-CERTLATCH_PROXY_SECRET'
const PROTOCOLS: readonly Protocol[] = ['HTTP/1.1', 'HTTP/2']

describe('Traefik, configured by the manifests', {
  skip: programsMissing('traefik', 'openssl'),
}, () => {
  let api: KubernetesApi
  let world: World
  let gate: Gate
  /** By the folder of each Traefik: what its API server has besides the manifests. */
  const places = new Map<string, Places>()

  const kind: ProxyKind = {
    dialect: 'traefik',
    shippedIn: 'kubernetes',
    files: ['middlewares.yml', 'home-assistant.yml'],
    fill: (given) => {
      places.set(nameOf(given.folder), given)
      return [
        { file: 'middlewares.yml', text: SECRET_PLACE, becomes: PROXY_SECRET },
        {
          file: 'middlewares.yml',
          text: 'certlatch.certlatch.svc.cluster.local.:9180',
          becomes: `127.0.0.1:${given.certlatchPort}`,
        },
      ]
    },
    command: (folder) => {
      const given = places.get(nameOf(folder))
      return [
        'traefik',
        ...parse(read('traefik-values.yml')).additionalArguments,
        `--entryPoints.websecure.address=127.0.0.1:${given?.port}`,
        '--entryPoints.websecure.http.tls=true',
        `--providers.kubernetesCRD.endpoint=${api.url}/${nameOf(folder)}`,
        '--providers.kubernetesCRD.token=none',
      ]
    },
    endingSignal: 'SIGTERM',
    endsWithin: 3_000,
  }

  function resourcesOf(cluster: string): readonly Resource[] {
    const given = places.get(cluster)
    if (given === undefined) return []
    const texts = kind.files.map((file) => readFileSync(join(given.folder, file), 'utf8'))
    const manifests = texts.flatMap((text) => parseAllDocuments(text).map((one) => one.toJS()))
    return [
      ...manifests.map((one) => inNamespace(one)),
      ...secret('certlatch-public', { 'ca.crt': given.pki.authorityFile }),
      ...secret('homeassistant-tls', {
        'tls.crt': given.pki.serverCertificateFile,
        'tls.key': given.pki.serverKeyFile,
      }),
      ...service('home-assistant', 'homeassistant', 'http', 8123, given.applicationPort),
      ...service('certlatch', 'certlatch', 'verify', 9180, given.certlatchPort),
      ...service('certlatch', 'certlatch', 'pages', 9182, given.pagesPort),
    ]
  }

  before(async () => {
    api = await startKubernetesApi(resourcesOf)
    world = await startWorld(kind)
    gate = await startGate(world)
  })

  after(async () => {
    await gate?.close()
    await world?.close()
    api?.close()
  })

  for (const { name, protocols = PROTOCOLS, proxies, endsProxy, run } of CASES) {
    if (proxies && !proxies.includes('traefik')) continue
    for (const protocol of protocols) {
      it(`${name} [${protocol}]`, () =>
        endsProxy ? withGate(world, [], (own) => run(own, protocol)) : run(gate, protocol))
    }
  }

  it('is refused without the secret of certlatch-proxy', async () => {
    const text = 'X-Certlatch-Proxy-Secret: the'
    const change = { file: 'middlewares.yml', text, becomes: 'X-Another: the' }
    await withGate(world, [change], async (own) => {
      assert.equal((await own.send({ credential: 'ada' })).status, 403)
    })
  })
})

const nameOf = (folder: string): string => folder.slice(folder.lastIndexOf('/') + 1)

/** As the kustomization puts it, with what an API server adds. */
function inNamespace(resource: Resource, namespace = 'certlatch'): Resource {
  return { ...resource, metadata: { ...resource.metadata, namespace, uid: 'a' } }
}

function secret(name: string, files: Readonly<Record<string, string>>): readonly Resource[] {
  const data = Object.fromEntries(
    Object.entries(files).map(([key, path]) => [key, readFileSync(path).toString('base64')]),
  )
  return [inNamespace({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, data })]
}

/** A Service, and where its one pod listens. */
function service(
  namespace: string,
  name: string,
  portName: string,
  port: number,
  at: number,
): readonly Resource[] {
  const labels = { 'kubernetes.io/service-name': name }
  return [
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { name } },
      spec: { clusterIP: '10.43.0.1', ports: [{ name: portName, port }] },
    },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name, labels } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
      ports: [{ name: portName, port: at }],
    },
  ].map((one) => inNamespace(one, namespace))
}
