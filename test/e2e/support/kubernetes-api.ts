import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A resource, as far as it matters here. */
export interface Resource {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly [part: string]: unknown
}

export interface KubernetesApi {
  /** Clients reach the resources of a cluster at `<url>/<cluster>`. */
  readonly url: string
  close(): void
}

/**
 * Serves the lists of an API server, which is all that Traefik needs: the current resources,
 * without later changes. Each list has the resources at the time of the request.
 */
export async function startKubernetesApi(
  resourcesOf: (cluster: string) => readonly Resource[],
): Promise<KubernetesApi> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const [, cluster = '', ...rest] = pathname.split('/')
    const plural = rest.at(-1) ?? ''
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
    if (searchParams.get('sendInitialEvents') === 'true') {
      // A list in the form of events; clients that are refused it ask for the list.
      answer(422, { ...STATUS, reason: 'Invalid', code: 422, message: 'lists only' })
    } else if (searchParams.has('watch')) {
      // Nothing ever changes.
      response.writeHead(200, { 'Content-Type': 'application/json' }).flushHeaders()
    } else if (plural === 'version') {
      answer(200, { major: '1', minor: '34', gitVersion: 'v1.34.0' })
    } else {
      const version = rest.slice(1, rest[0] === 'api' ? 2 : 3).join('/')
      const items = resourcesOf(cluster).filter(
        ({ apiVersion, kind }) => apiVersion === version && `${kind.toLowerCase()}s` === plural,
      )
      answer(200, { metadata: { resourceVersion: '1' }, items })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

const STATUS = { apiVersion: 'v1', kind: 'Status', status: 'Failure', metadata: {} }
