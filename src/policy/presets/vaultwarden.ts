import type { Preset } from '../policy.ts'

/**
 * Vaultwarden's apps show their certificate, with two exceptions (a log of the Android app's requests:
 * github.com/bitwarden/android/pull/4486). Facts are from Vaultwarden's source (`src/api/web.rs`,
 * `icons.rs`, `admin.rs`) and the web vault's (`apps/web/webpack.base.js` of bitwarden/clients).
 *
 * Deliberately not allowed: `/api/*` and `/identity/*` (the login), `/attachments/*`, and Sends, whose page
 * is the web vault itself.
 */
export const VAULTWARDEN: Preset = {
  name: 'vaultwarden',
  needsHost: true,
  rules: [
    // The ADMIN_TOKEN, a single password, gives access to all users and settings: no device of the
    // household needs that page over the internet. A rule of your own can still allow one.
    { name: 'admin page', path: ['/admin', '/admin/*'], access: 'deny' },
    // A static page and its script, which the app opens in a browser to query a security key: the
    // challenge comes in the query, the response goes back to the app. They contain nothing from
    // the vault.
    {
      name: 'security keys',
      path: ['/webauthn-mobile-connector.html', '/connectors/*'],
      methods: ['GET', 'HEAD'],
      access: 'open',
    },
  ],
  switches: {
    'website-icons': {
      needsNetworks: false,
      rules: [
        // Icons of the sites in the vault, by the site's name. They are not secret, and their paths
        // contain no secret: anyone can make Vaultwarden fetch icons, and see which ones it has
        // already. So the preset itself does not have this rule.
        { name: 'website-icons', path: ['/icons/*'], methods: ['GET', 'HEAD'], access: 'open' },
      ],
    },
  },
}
