import { isFromApplication, isRefusal, isUntrustedProxy } from '../answers.ts'
import { type Check, failed, unseen, warning } from '../check.ts'
import { request } from '../probe.ts'

const trustedProxy: Check = {
  name: 'trusted-proxy',
  group: 'home-assistant',
  title: 'Home Assistant accepts requests from the proxy',
  reason: 'It answers 400 to every request from a proxy that it does not trust.',
  needs: ['access', 'home-assistant'],
  judge: ({ first: { certificate: seen } }) => {
    if (!isUntrustedProxy(seen)) return undefined
    return failed(
      'Home Assistant answers 400: it does not trust the proxy',
      'since 2026.8 under Settings, System, Network, HTTP server: "use X-Forwarded-For", and as trusted proxy the address from which the proxy reaches Home Assistant (its log names it); confirm within five minutes. Before: use_x_forwarded_for and trusted_proxies under http: in configuration.yaml',
    )
  },
}

const rescueModule: Check = {
  name: 'rescue-module',
  group: 'home-assistant',
  title: "the rescue module is in Home Assistant's page",
  reason:
    "Home Assistant's service worker shows a spinner forever once a session has ended; the module gets past it.",
  needs: ['access', 'home-assistant'],
  judge: ({ first: { certificate: seen } }) => {
    if (seen.kind !== 'answer' || seen.status !== 200) {
      return unseen('Home Assistant did not answer with its page')
    }
    if (seen.body.includes('/.certlatch/auth/rescue.js')) return undefined
    return warning(
      "Home Assistant's page does not have the rescue module",
      'frontend: extra_module_url: [/.certlatch/auth/rescue.js] in configuration.yaml',
    )
  },
}

const webhooks: Check = {
  name: 'webhooks',
  group: 'home-assistant',
  title: 'webhooks reach Home Assistant without a certificate',
  reason:
    'The companion apps report location and sensors there, with an HTTP client that has neither certificate nor cookie.',
  needs: ['closed', 'access', 'home-assistant'],
  plan: ({ nowhere }) => [
    request('a webhook', { method: 'POST', path: `/api/webhook/${nowhere}` }),
  ],
  judge: (_, [asked]) => {
    if (asked === undefined) return undefined
    if (isUntrustedProxy(asked.seen)) {
      return unseen('Home Assistant answers 400 to everything from the proxy')
    }
    if (asked.seen.kind === 'none') return unseen(`a webhook: ${asked.seen.problem}`)
    if (!isRefusal(asked.seen)) return undefined
    return warning(
      'webhooks are refused: companion apps cannot report location and sensors',
      'preset: home-assistant in the file of CERTLATCH_POLICY_FILE makes them public, and nothing else',
    )
  },
}

const bypass: Check = {
  name: 'bypass',
  group: 'home-assistant',
  title: 'the gate cannot be bypassed from here',
  reason:
    'If the application listens on all addresses, anyone who can reach the machine can reach it, without a certificate.',
  needs: ['application'],
  plan: ({ target: { application: url } }) =>
    url === undefined ? [] : [{ kind: 'get', label: 'the application', url }],
  judge: ({ target: { application: url } }, [asked]) => {
    if (url === undefined || asked === undefined) return undefined
    const { seen } = asked
    if (seen.kind === 'none' && /does not resolve/.test(seen.problem)) {
      return unseen(`${url.hostname}: ${seen.problem}`)
    }
    if (!isFromApplication(seen)) return undefined
    // On the same machine, programs may connect directly, above all the proxy.
    if (/^(127\.|localhost$|\[::1\])/.test(url.hostname)) {
      return unseen(`${url.hostname} is this machine: give the address that others would use`)
    }
    return failed(
      `the application answers at ${url.host}, bypassing the gate`,
      'make it listen only where the proxy can reach it: server_host: 127.0.0.1 in Home Assistant, no ports: in compose, or a firewall',
    )
  },
}

export const APPLICATION_CHECKS: readonly Check[] = [trustedProxy, rescueModule, webhooks, bypass]
