import { hash } from 'node:crypto'
import type { RequestHeaders } from '../proxy/request-headers.ts'

/** A body for those who are refused, with the headers that describe it. */
interface Refusal {
  readonly body: Buffer
  /** Names and values one after another, as `writeHead` takes them. */
  readonly headers: readonly string[]
}

export interface Refusals {
  /** A page for a person, JSON for a script that asks for it, a line of text for all others. */
  forRequest(headers: RequestHeaders): Refusal
  /** The same for nginx's second question, where the answer would be another by now. */
  forLatecomer(headers: RequestHeaders): Refusal
  /** For a request that could not be read to its end. */
  readonly fallback: Refusal
}

const STYLE = `
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 12vh auto; padding: 0 1.25rem }
h1 { font-size: 1.5rem; line-height: 1.25 }
`

const page = (title: string, body: string, head = '') => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>${head}
<style>${STYLE}</style>
</head>
<body>
<h1>${title}</h1>
${body}
</body>
</html>
`

const REFUSED_PAGE = page(
  'This device is not let in',
  `<p>This address opens only to devices with a client certificate of this household, and your browser has not shown one that is good.</p>
<ul>
<li>Is the certificate installed on this device? Ask whoever runs this server for one.</li>
<li>Did you cancel when the browser asked for a certificate? It asks again only after you have closed it entirely.</li>
<li>Has it worked before? The certificate may have ended, or been revoked.</li>
</ul>`,
)
const RELOAD_PAGE = page(
  'One moment',
  '<p>This device is let in by now. If the page does not appear, reload it.</p>',
  '\n<meta http-equiv="refresh" content="1">',
)
const REFUSED_TEXT = 'refused: no valid client certificate or session was shown\n'
const REFUSED_JSON = `${JSON.stringify({ error: 'refused', message: 'no valid client certificate or session was shown' })}\n`

/** The bodies never change: they are made once, and say nothing about why. */
export function createRefusals(): Refusals {
  const styleHash = hash('sha256', STYLE, 'base64')
  const policy = `default-src 'none'; style-src 'sha256-${styleHash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`
  const html = (text: string) =>
    refusal(text, 'text/html; charset=utf-8', ['Content-Security-Policy', policy])
  const forPerson = html(REFUSED_PAGE)
  const forScript = refusal(REFUSED_JSON, 'application/json; charset=utf-8', [])
  const forOthers = refusal(REFUSED_TEXT, 'text/plain; charset=utf-8', [])
  const reload = html(RELOAD_PAGE)
  const choose = (headers: RequestHeaders, forNavigation: Refusal): Refusal => {
    if (isNavigation(headers)) return forNavigation
    return headers.accept?.includes('application/json') ? forScript : forOthers
  }
  return {
    forRequest: (headers) => choose(headers, forPerson),
    forLatecomer: (headers) => choose(headers, reload),
    fallback: forPerson,
  }
}

function refusal(text: string, type: string, more: readonly string[]): Refusal {
  const body = Buffer.from(text, 'utf8')
  return {
    body,
    headers: [
      'Cache-Control',
      'no-store',
      'X-Certlatch',
      'refused',
      'Content-Type',
      type,
      'Content-Length',
      String(body.length),
      'X-Content-Type-Options',
      'nosniff',
      ...more,
    ],
  }
}

function isNavigation({ method, secFetchMode, accept }: RequestHeaders): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  return secFetchMode === undefined
    ? accept?.includes('text/html') === true
    : secFetchMode === 'navigate'
}
