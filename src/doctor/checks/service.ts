import { type Check, type Finding, failed, unseen, warning } from '../check.ts'
import { dialectHint } from '../hints.ts'

const service: Check = {
  name: 'service',
  group: 'operation',
  title: 'the service runs, and is ready',
  reason: 'Its own checks explain most of what the tests from outside find.',
  needs: ['here'],
  judge: ({ here }) => {
    if (here?.service === undefined) {
      const { problem = 'the service does not answer', hint } = here?.serviceProblem ?? {}
      return failed(problem, hint)
    }
    const { ready, checks } = here.service
    const wrong = checks.filter(({ ok }) => !ok)
    const text = wrong.map(({ name, detail }) => `${name}: ${detail}`).join('; ')
    const hint = 'certlatch status has the details'
    if (!ready) return failed(`the service is not ready: ${text}`, hint)
    return text === '' ? undefined : warning(`the service is ready, but ${text}`, hint)
  },
}

const DAY_SECONDS = 86_400
const AUTHORITY_SOON_DAYS = 90

const dates: Check = {
  name: 'dates',
  group: 'operation',
  title: 'CA and CRL do not expire soon',
  reason: 'When the CA expires, all its certificates expire with it.',
  needs: ['here', 'service'],
  judge: ({ here, nowSeconds }) => {
    const findings: Finding[] = []
    for (const { name, notAfter } of here?.service?.authorities ?? []) {
      const days = Math.floor((notAfter - nowSeconds) / DAY_SECONDS)
      if (days >= AUTHORITY_SOON_DAYS) continue
      const hint =
        'certlatch ca renew creates a successor; an external CA is renewed by its operator'
      findings.push(warning(`the CA ${name} expires in ${days} days`, hint))
    }
    for (const { authority, nextUpdate } of here?.service?.revocationLists ?? []) {
      if (nextUpdate >= nowSeconds) continue
      const hint = 'install a new CRL, and find out why it was not renewed'
      findings.push(failed(`the CRL of ${authority} is out of date`, hint))
    }
    return findings
  },
}

const replicas: Check = {
  name: 'replicas',
  group: 'operation',
  title: 'every service has the same files as this command, and its version',
  reason:
    "A replica with other session keys refuses another's sessions; one with an older CRL allows a lost phone.",
  needs: ['here', 'service'],
  judge: ({ here }) => {
    if (here?.service === undefined) return undefined
    const { version, keySet } = here
    const fresh = here.running.filter(({ isFresh }) => isFresh).map(({ state }) => state)
    const isOdd = (key: 'keySet' | 'crlNumber' | 'blocksNumber' | 'version') =>
      new Set(fresh.map((state) => state[key])).size > 1
    const hint =
      'make sure that all of them, and this command, use the same data directory and version'
    if (here.service.keySet !== keySet) {
      return failed('the service has other session keys than the files here', hint)
    }
    if (isOdd('keySet')) return failed('the services have different session keys', hint)
    if (isOdd('crlNumber') || isOdd('blocksNumber')) {
      return failed('the services have different CRLs or blocks', hint)
    }
    if (here.service.version !== version) {
      return warning(
        `the service is version ${here.service.version}, this command ${version}`,
        hint,
      )
    }
    return isOdd('version') ? warning('the services have different versions', hint) : undefined
  },
}

const proxyName: Check = {
  name: 'proxy-name',
  group: 'operation',
  title: 'CERTLATCH_PROXY names the proxy in use',
  reason:
    "certlatch reads only one proxy's header; another proxy would pass on a client's own copy of it.",
  needs: ['here'],
  judge: (facts) => {
    const hint = dialectHint(facts)
    if (facts.looks === undefined) return unseen('the proxy was not recognized')
    if (hint === undefined) return undefined
    return failed('CERTLATCH_PROXY does not match what the proxy looks like', hint)
  },
}

export const SERVICE_CHECKS: readonly Check[] = [service, dates, replicas, proxyName]
