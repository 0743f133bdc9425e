import { isFromApplication, isRefusal, summaryOf } from '../answers.ts'
import { type Check, failed } from '../check.ts'
import { hintFor } from '../hints.ts'
import { type OpenPath, openPaths } from '../open-rules.ts'
import { isRequest, type Observation, request } from '../probe.ts'

/** Paths that resemble a public one. */
function neighbors({ path, folder }: OpenPath, nowhere: string): readonly string[] {
  const base = (folder ?? path).replace(/\/$/, '')
  const parent = base.slice(0, base.lastIndexOf('/'))
  return [`${base}x`, `${parent}/${nowhere}`, folder === undefined ? `${base}/${nowhere}` : base]
}

const rules: Check = {
  name: 'rules',
  group: 'paths',
  title: 'paths that the rules make public are public, and similar paths are not',
  reason:
    'A location that the proxy serves without an auth request is public, whatever the rules require.',
  needs: ['closed', 'here', 'open-rules'],
  plan: (facts) => {
    const places = openPaths(facts)
    const beside = new Set(places.flatMap((place) => neighbors(place, facts.nowhere)))
    const closed = [...beside].filter((path) => facts.here?.isOpen('GET', path) === false)
    return [
      ...places.map(({ rule, method, path }) => request(`the rule ${rule}`, { method, path })),
      ...closed.map((path) => request('beside it', { path })),
    ]
  },
  judge: (facts, asked) => {
    for (const { probe, seen } of asked.filter(isRequest)) {
      const { method, path, label } = probe
      const isOpen = facts.here?.isOpen(method, path)
      if (isOpen === false && isFromApplication(seen)) {
        const text = `${path} can be reached without certlatch: ${summaryOf(seen)}`
        return failed(text, hintFor('auth-request', facts))
      }
      if (isOpen === true && isRefusal(seen)) {
        return failed(
          `${label} makes ${method} ${path} public, but it is refused`,
          "the auth request has another path, host or method than the client's request: compare the proxy's configuration with deploy/; or the service has other rules than the file: see certlatch status",
        )
      }
    }
    return undefined
  },
}

/** Spellings of a path outside the folder that some proxy or application resolves. */
const detoursTo = (place: string, folder: string): readonly string[] => {
  const up = folder.replace(/\/$/, '').split('/').length - 1
  const times = (text: string) => text.repeat(up)
  return [
    `${folder}${times('../')}${place}`,
    `${folder}${times('%2e%2e/')}${place}`,
    `${folder}${times('.%2e/')}${place}`,
    `${folder}${times('..%2f')}${place}`,
    `${folder}${times('..%5c')}${place}`,
    `${folder}${times('..\\')}${place}`,
    `${folder}${times('..;/')}${place}`,
    `${folder}${times('%252e%252e/')}${place}`,
    `${folder}.//${times('../')}${place}`,
    `${folder}x%2f${times('..%2f')}..%2f${place}`,
  ]
}

const detours: Check = {
  name: 'detours',
  group: 'paths',
  title: 'no detour through a public path reaches a protected one',
  reason: 'Proxy, certlatch and application may each read "..", "%2f" or ";" differently.',
  needs: ['closed', 'here', 'open-rules'],
  plan: (facts) => {
    const folder = openPaths(facts).find((place) => place.folder !== undefined)?.folder
    if (folder === undefined) return []
    return detoursTo(facts.nowhere, folder).map((path) => request('a detour', { path }))
  },
  judge: (facts, asked) => {
    const reached = asked.filter(isRequest).find(({ seen }) => isReached(seen))
    if (reached === undefined) return undefined
    const text = `${reached.probe.path} reaches the application without credentials: ${summaryOf(reached.seen)}`
    return failed(
      text,
      `${hintFor('auth-request', facts)}; let certlatch decide about public paths too`,
    )
  },
}

/** A proxy that normalizes a path may do so by a redirect. */
const isReached = (seen: Observation): boolean =>
  isFromApplication(seen) && seen.kind === 'answer' && ![301, 302, 307, 308].includes(seen.status)

export const PATH_CHECKS: readonly Check[] = [rules, detours]
