import type { Preset } from '../policy.ts'

/**
 * Webhooks of n8n's published workflows. Facts are from n8n's source (`abstract-server.ts`,
 * `endpoints.config.ts`).
 *
 * Deliberately not allowed: `/rest/*` and the editor, `/webhook-test/*` (for testing in a browser, which
 * has a certificate), `/webhook-waiting/*` and `/form-waiting/*`, whose execution number can be
 * enumerated, `/form/*`, `/mcp/*`.
 */
export const N8N_WEBHOOKS: Preset = {
  name: 'n8n-webhooks',
  needsHost: true,
  rules: [
    // The secret is the path, a UUID unless the user chose another, or what the Webhook node itself
    // requires (Basic, header or JWT). n8n answers 404 to other paths. These are the node's methods.
    {
      name: 'webhooks',
      path: ['/webhook/*'],
      methods: ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'],
      access: 'open',
    },
  ],
  switches: {},
}
