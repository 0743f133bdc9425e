import type { Preset } from '../policy.ts'

/**
 * What must reach Home Assistant without a certificate, and nothing more. Facts are from the source
 * of Home Assistant 2026.11 (`requires_auth` of each view) and from recorded requests of its page.
 *
 * Deliberately not allowed, though other guides do: `/api/websocket` (the page reaches it by cookie),
 * `/auth/*` (the login, where passwords can be guessed), `/api/*` (every service and state), and
 * what the page itself is made of: all of it is allowed by cookie, the service worker's requests too.
 */
export const HOME_ASSISTANT: Preset = {
  name: 'home-assistant',
  rules: [
    // The companion app sends location, sensors and notification actions to the webhook that it got
    // at its registration, by a client without certificate and cookie; automations with a webhook
    // are called by other people's machines. The id of 64 hex digits is the secret: the view requires
    // no login and answers 200 to unknown ids as well. With the app's id anyone can call services
    // until the device is deleted in Home Assistant. The view supports these four methods.
    {
      name: 'webhooks',
      path: ['/api/webhook/*'],
      methods: ['GET', 'HEAD', 'POST', 'PUT'],
      access: 'open',
    },
  ],
  switches: {
    'google-assistant': {
      needsNetworks: false,
      rules: [
        // Google's servers post intents there, with a token of Home Assistant as bearer; the view
        // requires it.
        {
          name: 'google-assistant',
          path: ['/api/google_assistant'],
          methods: ['POST'],
          access: 'open',
        },
        // They fetch and renew that token there. Its page, /auth/authorize, is opened by the person
        // who links the account, on a device that has a certificate.
        { name: 'google-token', path: ['/auth/token'], methods: ['POST'], access: 'open' },
      ],
    },
    alexa: {
      needsNetworks: false,
      rules: [
        // The skill's Lambda function posts directives there, with a token of Home Assistant as
        // bearer; the view requires it.
        { name: 'alexa', path: ['/api/alexa/smart_home'], methods: ['POST'], access: 'open' },
        // Amazon fetches and renews that token there; /auth/authorize is not allowed, as above.
        { name: 'alexa-token', path: ['/auth/token'], methods: ['POST'], access: 'open' },
      ],
    },
    'cast-media': {
      needsNetworks: false,
      rules: [
        // A Cast device plays a camera's stream from here. The path contains a random token, which
        // is all that the view checks; it supports only GET, and answers preflights of any origin.
        {
          name: 'streams',
          path: ['/api/hls/*'],
          methods: ['GET', 'OPTIONS'],
          access: 'open',
        },
        // Speech: the file's name is the token, and the view checks nothing else.
        { name: 'speech', path: ['/api/tts_proxy/*'], methods: ['GET', 'HEAD'], access: 'open' },
        // Files of the local media folders: the view requires a login, or the signature (authSig)
        // that Home Assistant puts into the address it hands to the Cast device.
        { name: 'media-files', path: ['/media/*'], methods: ['GET', 'HEAD'], access: 'open' },
        // A dashboard that is cast needs the page, /auth/token and the WebSocket, from a device that
        // cannot have a certificate: that is not allowed.
      ],
    },
    'app-pictures': {
      needsNetworks: false,
      rules: [
        // The companion apps fetch the pictures of notifications and widgets by clients that show no
        // certificate and have no cookie. Each of these views requires a login or the token in the
        // query: 256 random bits, valid for five to ten minutes for a camera or an image, and until
        // Home Assistant restarts for a media player. They support only GET.
        {
          name: 'cameras',
          path: ['/api/camera_proxy/*', '/api/camera_proxy_stream/*'],
          methods: ['GET'],
          access: 'open',
        },
        { name: 'images', path: ['/api/image_proxy/*'], methods: ['GET'], access: 'open' },
        // Album covers, and the pictures in the media browser.
        { name: 'covers', path: ['/api/media_player_proxy/*'], methods: ['GET'], access: 'open' },
      ],
    },
    'local-network': {
      needsNetworks: true,
      rules: [
        // The household's own network, by the client's address as the trusted proxy reports it: there
        // Home Assistant's login is the only protection, as it is without certlatch.
        { name: 'local-network', access: 'open' },
      ],
    },
  },
}
