import type { Preset } from '../policy.ts'

/** Since 2.18 its own pages and links have this prefix; the paths without it work too. */
const PREFIX = '/audiobookshelf'

const both = (path: string): readonly string[] => [path, `${PREFIX}${path}`]

/**
 * What the recipient of a share of one book or episode needs. Facts are from Audiobookshelf's source
 * (`server/routers/PublicRouter.js`, `server/Server.js`, `client/pages/share/_slug.vue`).
 *
 * Deliberately not allowed: `/api/*`, `/hls/*`, `/login`, the rest of `/public/*`.
 */
export const AUDIOBOOKSHELF_SHARES: Preset = {
  name: 'audiobookshelf-shares',
  needsHost: true,
  rules: [
    // The page, and its data, cover, tracks and download. The secret is the slug in the path: ten
    // random characters, unless the user chose others. An expired share answers 404.
    {
      name: 'shares',
      path: [...both('/share/*'), ...both('/public/share/*')],
      methods: ['GET', 'HEAD'],
      access: 'open',
    },
    // The listener's position in the book, which the view accepts only with the share's cookie.
    { name: 'progress', path: both('/public/share/*'), methods: ['PATCH'], access: 'open' },
    // The page's scripts and styles: the same in every installation.
    { name: 'page', path: both('/_nuxt/*'), methods: ['GET', 'HEAD'], access: 'open' },
  ],
  switches: {
    'rss-feeds': {
      needsNetworks: false,
      rules: [
        // Podcast apps present no certificate. The secret is the slug: the item's id (a UUID)
        // unless the user chose another; only feeds that were opened in Audiobookshelf answer.
        { name: 'rss-feeds', path: both('/feed/*'), methods: ['GET', 'HEAD'], access: 'open' },
      ],
    },
  },
}
