import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { loadConfig } from '../src/config/load.ts'
import { dataPaths } from '../src/store/data-directory.ts'
import { repository } from './support/repository.ts'

const FOLDER = join(repository(), 'deploy/kubernetes')
const read = (path: string) => readFileSync(join(FOLDER, path), 'utf8')

/** A parsed value of any depth. */
type Resource = ReturnType<typeof parse>

/** As kubectl reads them: merge keys, and 0440 is octal. */
const OPTIONS = { version: '1.1', merge: true } as const
const kustomization = parse(read('kustomization.yml'), OPTIONS)
const resourcesOf = (path: string): readonly Resource[] =>
  parseAllDocuments(read(path), OPTIONS).map((document) => {
    assert.deepEqual(document.errors, [], path)
    return document.toJS()
  })
const FILES = readdirSync(FOLDER).filter(
  (name) => /\.yml$/.test(name) && !['kustomization.yml', 'traefik-values.yml'].includes(name),
)
const RESOURCES = FILES.flatMap(resourcesOf)

function only(kind: string, name = 'certlatch'): Resource {
  const found = RESOURCES.filter((one) => one.kind === kind && one.metadata.name === name)
  assert.equal(found.length, 1, `${kind} ${name}`)
  return found[0]
}

describe('The manifests for Kubernetes', () => {
  const deployment = only('Deployment')
  const pod = deployment.spec.template.spec
  const [container] = pod.containers
  const LABELS = { 'app.kubernetes.io/name': 'certlatch' }

  it('are all in the kustomization, or offered there in a comment', () => {
    const listed = [...read('kustomization.yml').matchAll(/^ {2}(?:# )?- (\S+\.yml)/gm)]
    assert.deepEqual(listed.map(([, name]) => name).sort(), FILES.sort())
    const commented = FILES.filter((name) => !kustomization.resources.includes(name))
    assert.deepEqual(commented, ['service-monitor.yml'])
  })

  it("run as the image's user, without privileges, on a read-only file system", () => {
    const dockerfile = readFileSync(join(repository(), 'Dockerfile'), 'utf8')
    const [, user] = /useradd --uid (\d+)/.exec(dockerfile) ?? []
    assert.deepEqual(pod.securityContext, {
      runAsNonRoot: true,
      runAsUser: Number(user),
      runAsGroup: Number(user),
      fsGroup: Number(user),
      seccompProfile: { type: 'RuntimeDefault' },
    })
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    assert.equal(pod.enableServiceLinks, false)
    assert.equal(pod.automountServiceAccountToken, false)
    const namespace = only('Namespace')
    assert.equal(namespace.metadata.labels['pod-security.kubernetes.io/enforce'], 'restricted')
  })

  it('set options that certlatch understands, and listen where Service and probes connect', () => {
    const set: [string, string][] = container.env.map(({ name, value }: Resource) => [name, value])
    const environment = Object.fromEntries(set)
    const { CERTLATCH_PROXY_SECRET_FILE: secretFile, ...others } = environment
    const { CERTLATCH_METRICS_TOKEN_FILE: tokenFile, ...rest } = others
    // As load.ts does with the file; the image sets the first of these.
    const parsed = loadConfig({
      CERTLATCH_LISTEN: '0.0.0.0:9180',
      CERTLATCH_PROXY_SECRET: 'a-secret-of-sixteen-or-more',
      CERTLATCH_METRICS_TOKEN: 'another-of-sixteen-or-more',
      ...rest,
    })
    assert.ok(parsed.ok)
    // The network policy implements this.
    for (const warning of parsed.warnings)
      assert.match(warning, /let only your monitoring reach it$/)
    const { listen, adminListen, pagesListen, proxySecret } = parsed.config
    assert.ok(proxySecret !== undefined && secretFile?.startsWith('/run/certlatch/proxy/'))
    assert.ok(tokenFile?.startsWith('/run/certlatch/metrics/'))
    const { credentials } = only('ServiceMonitor').spec.endpoints[0].authorization
    assert.deepEqual(credentials, { name: 'certlatch-metrics', key: 'token' })
    assert.deepEqual(container.ports, [
      { name: 'verify', containerPort: listen.port },
      { name: 'pages', containerPort: pagesListen.port },
      { name: 'admin', containerPort: adminListen.port },
    ])
    assert.equal(adminListen.host, '0.0.0.0')
    for (const [probe, path] of [
      ['startupProbe', '/healthz'],
      ['livenessProbe', '/healthz'],
      ['readinessProbe', '/readyz'],
    ]) {
      assert.deepEqual(container[probe ?? ''].httpGet, { path, port: 'admin' })
    }
    assert.deepEqual(only('Service').spec.ports, [
      { name: 'verify', port: listen.port, targetPort: 'verify' },
      { name: 'pages', port: pagesListen.port, targetPort: 'pages' },
      { name: 'admin', port: adminListen.port, targetPort: 'admin' },
    ])
  })

  it('mount the folders of the data directory, all but one read-only', () => {
    const paths = dataPaths('/data')
    const places = [paths.publicFolder, paths.privateFolder, paths.devices]
    const writable = container.volumeMounts.filter(({ readOnly }: Resource) => readOnly !== true)
    assert.deepEqual(writable, [{ name: 'running', mountPath: paths.running }])
    const mounted = container.volumeMounts.map(({ mountPath }: Resource) => mountPath)
    assert.deepEqual(mounted, [
      ...[...places, paths.running],
      ...['/run/certlatch/proxy', '/run/certlatch/metrics'],
    ])
    for (const mount of container.volumeMounts) assert.equal(mount.subPath, undefined)
    const volumes = new Map<string, Resource>(pod.volumes.map((one: Resource) => [one.name, one]))
    assert.equal(volumes.size, mounted.length)
    for (const { name } of container.volumeMounts) {
      const mode = volumes.get(name)?.secret?.defaultMode
      if (name !== 'running') assert.equal(mode, name === 'public' ? 0o444 : 0o440, name)
    }
  })

  it('all select the same pods', () => {
    assert.deepEqual(deployment.spec.template.metadata.labels, LABELS)
    assert.deepEqual(deployment.spec.selector.matchLabels, LABELS)
    assert.deepEqual(only('Service').spec.selector, LABELS)
    assert.deepEqual(only('PodDisruptionBudget').spec.selector.matchLabels, LABELS)
    assert.deepEqual(only('NetworkPolicy').spec.podSelector.matchLabels, LABELS)
    assert.deepEqual(only('ServiceMonitor').spec.selector.matchLabels, LABELS)
    for (const constraint of pod.topologySpreadConstraints) {
      assert.deepEqual(constraint.labelSelector.matchLabels, LABELS)
    }
    const { scaleTargetRef, minReplicas } = only('HorizontalPodAutoscaler').spec
    assert.deepEqual(scaleTargetRef, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'certlatch',
    })
    assert.equal(minReplicas, deployment.spec.replicas)
    assert.ok(minReplicas >= 2)
  })

  it("allow only Traefik's auth requests, only Prometheus's scrapes, and no outgoing connections", () => {
    const { policyTypes, ingress, egress } = only('NetworkPolicy').spec
    assert.deepEqual(policyTypes, ['Ingress', 'Egress'])
    assert.deepEqual(egress, [])
    const rules = ingress.map(({ from, ports }: Resource) => ({
      who: from.map(({ podSelector }: Resource) => podSelector.matchLabels),
      where: from.every(({ namespaceSelector }: Resource) => namespaceSelector !== undefined),
      ports: ports.map(({ port }: Resource) => port),
    }))
    const labelled = (name: string) => [{ 'app.kubernetes.io/name': name }]
    assert.deepEqual(rules, [
      { who: labelled('traefik'), where: true, ports: ['verify', 'pages'] },
      { who: labelled('prometheus'), where: true, ports: ['admin'] },
    ])
  })

  it('configure Traefik the same way as dynamic.yml', () => {
    const dynamic = parse(readFileSync(join(FOLDER, '../traefik/dynamic.yml'), 'utf8'))
    const expected = structuredClone(dynamic.http.middlewares)
    const { headers } = expected['from-client']
    headers.customRequestHeaders['X-Certlatch-Proxy-Secret'] = 'the-value-of-CERTLATCH_PROXY_SECRET'
    const { namespace } = kustomization
    const { name } = only('Service').metadata
    const { port } = only('Service').spec.ports[0]
    const address = `http://${name}.${namespace}.svc.cluster.local.:${port}/verify`
    expected.certlatch.forwardAuth.address = address
    const middlewares = RESOURCES.filter(({ kind }) => kind === 'Middleware')
    assert.deepEqual(
      Object.fromEntries(middlewares.map(({ metadata, spec }) => [metadata.name, spec])),
      expected,
    )
    const { clientAuthType } = dynamic.tls.options.default.clientAuth
    const secretNames = ['certlatch-public']
    assert.deepEqual(only('TLSOption', 'default').spec, {
      clientAuth: { clientAuthType, secretNames },
    })
  })

  it('route what dynamic.yml routes, through the same middlewares in the same order', () => {
    const dynamic = parse(readFileSync(join(FOLDER, '../traefik/dynamic.yml'), 'utf8'))
    const { routes, entryPoints } = only('IngressRoute', 'homeassistant').spec
    const seen = routes.map(({ match, priority, middlewares, services }: Resource) => ({
      rule: match,
      ...(priority !== undefined && { priority }),
      entryPoints,
      middlewares: middlewares.map(({ name }: Resource) => name),
      service: services[0].port === 'pages' ? 'certlatch-pages' : services[0].name,
    }))
    assert.deepEqual(seen, Object.values(dynamic.http.routers))
  })

  it("give Traefik's entry point what traefik.yml gives it", () => {
    const { global, entryPoints } = parse(
      readFileSync(join(FOLDER, '../traefik/traefik.yml'), 'utf8'),
    )
    const { address, http, transport } = entryPoints.websecure
    assert.ok(address)
    // The chart's own default.
    assert.deepEqual(http.tls, {})
    const flags = (prefix: string, value: Resource): readonly string[] =>
      typeof value === 'object'
        ? Object.entries(value).flatMap(([name, inner]) => flags(`${prefix}.${name}`, inner))
        : [`${prefix}=${value}`]
    const { metadata, spec } = only('IngressRoute', 'homeassistant')
    const [application] = spec.routes[0].services
    assert.equal(metadata.namespace, undefined, 'that of the kustomization')
    assert.notEqual(application.namespace, kustomization.namespace)
    assert.deepEqual(parse(read('traefik-values.yml')).additionalArguments, [
      ...flags('--global', global),
      ...flags('--entryPoints.websecure.http', { ...http, tls: {} }),
      ...flags('--entryPoints.websecure.transport', transport),
      '--providers.kubernetesCRD.allowCrossNamespace=true',
    ])
  })
})

describe('Publish.sh', () => {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-publish-'))
  const data = join(folder, 'my data')
  const log = join(folder, 'log')
  const applied = join(folder, 'applied')
  after(() => rmSync(folder, { recursive: true }))

  const write = (path: string, text = path) => writeFileSync(join(data, path), text)
  for (const path of ['public', 'private', 'private/devices', 'private/running', 'bin']) {
    mkdirSync(join(data, path), { recursive: true })
  }
  for (const name of ['ca.crt', 'ca.crl']) write(`public/${name}`)
  for (const name of ['ca.key', 'session.keys', 'running/0.json']) write(`private/${name}`)
  // It prints its arguments, and is not the real one.
  const kubectl = `#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word" >> '${log}'; done
if [ "$1" = apply ]; then cat > '${applied}'; exit 0; fi
for word in "$@"; do case $word in --from-file=*) [ -e "\${word#*=*=}" ] || exit 1; esac; done
echo "name: $4"
`
  writeFileSync(join(data, 'bin/kubectl'), kubectl, { mode: 0o755 })

  function publish(...args: readonly string[]) {
    rmSync(log, { force: true })
    rmSync(applied, { force: true })
    const PATH = `${join(data, 'bin')}:/usr/bin:/bin`
    const { status } = spawnSync(join(FOLDER, 'publish.sh'), args, { env: { PATH } })
    const readIfThere = (path: string) => {
      try {
        return readFileSync(path, 'utf8')
      } catch {
        return ''
      }
    }
    const files = [...readIfThere(log).matchAll(/^--from-file=(.*?)=(.*)$/gm)]
    const pairs = files.map(([, key, path]) => `${key} ${path?.slice(data.length + 1)}`)
    return { status, files: pairs, log: readIfThere(log), applied: readIfThere(applied) }
  }

  it("uploads what the pods read, never the CA's key", () => {
    write('private/devices/0a.json')
    write('private/devices/0b.json')
    write('private/devices/0b.json.123.tmp')
    write('private/blocks.json')
    write('private/undelivered.json')
    const { status, files, applied: objects } = publish(data, '--context', 'home')
    assert.equal(status, 0)
    assert.deepEqual(files, [
      'ca.crt public/ca.crt',
      'ca.crl public/ca.crl',
      '0a.json private/devices/0a.json',
      '0b.json private/devices/0b.json',
      'session.keys private/session.keys',
      'blocks.json private/blocks.json',
      'undelivered.json private/undelivered.json',
    ])
    const names = [...objects.matchAll(/name: (.*)/g)].map(([, name]) => name)
    const secrets = RESOURCES.find(({ kind }) => kind === 'Deployment')
      .spec.template.spec.volumes.flatMap(({ secret }: Resource) => secret?.secretName ?? [])
      .filter((name: string) => !['certlatch-proxy', 'certlatch-metrics'].includes(name))
    assert.deepEqual(names, secrets)
  })

  it('passes options for kubectl to the only call that reaches the cluster', () => {
    const { log: words } = publish(data, '--context', 'home')
    assert.ok(
      words.endsWith('apply\n--server-side\n--force-conflicts\n--filename\n-\n--context\nhome\n'),
    )
    assert.equal(words.match(/--context/g)?.length, 1)
  })

  it('applies nothing if a file is missing, and fails', () => {
    rmSync(join(data, 'public/ca.crl'))
    const { status, applied: objects } = publish(data)
    assert.equal(status, 1)
    assert.equal(objects, '')
    assert.equal(publish().status, 2)
  })
})
