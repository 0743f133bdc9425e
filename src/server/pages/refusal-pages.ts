import type { DenyReason } from '../../decision.ts'
import { type HtmlDocument, htmlDocument } from './document.ts'
import { REFUSAL_SCRIPT } from './scripts.ts'

/**
 * What a person is told. Coarser than the reasons, so that a page helps whose device it is, and
 * tells a stranger no more than what he has shown himself: what a page says of a certificate's
 * standing, it says only to who has proved to hold its key.
 */
export const REFUSAL_KINDS = [
  'no-certificate',
  'unsuitable-certificate',
  'expired-certificate',
  'withdrawn-certificate',
  'replaced-certificate',
  'session-over',
  'another-site',
  'closed',
  'closed-to-this',
  'odd-request',
  'at-the-server',
] as const
export type RefusalKind = (typeof REFUSAL_KINDS)[number]

const KINDS: Readonly<Record<DenyReason, RefusalKind>> = {
  'malformed-http': 'odd-request',
  'untrusted-proxy': 'at-the-server',
  'malformed-request': 'odd-request',
  'header-alias': 'odd-request',
  'header-repeated': 'odd-request',
  // A rule that is stricter than the path's own has closed it: a certificate may open that too.
  'ambiguous-path': 'closed-to-this',
  'policy-deny': 'closed',
  'not-permitted': 'closed',
  'cross-site': 'another-site',
  'certificate-malformed': 'unsuitable-certificate',
  'certificate-untrusted': 'unsuitable-certificate',
  'certificate-expired': 'expired-certificate',
  'certificate-not-yet-valid': 'at-the-server',
  'certificate-issuer-expired': 'at-the-server',
  'certificate-revoked': 'withdrawn-certificate',
  'certificate-blocked': 'withdrawn-certificate',
  'certificate-superseded': 'replaced-certificate',
  'certificate-wrong-usage': 'unsuitable-certificate',
  'certificate-unknown-extension': 'unsuitable-certificate',
  'certificate-unsupported-algorithm': 'unsuitable-certificate',
  'certificate-weak': 'unsuitable-certificate',
  'certificate-crl-stale': 'at-the-server',
  'certificate-crl-missing': 'at-the-server',
  'certificate-not-checked': 'at-the-server',
  'unknown-device': 'unsuitable-certificate',
  'no-identity': 'unsuitable-certificate',
  // All alike, so that nobody can try which cookie was once a good one.
  'session-malformed': 'session-over',
  'session-forged': 'session-over',
  'session-expired': 'session-over',
  'session-wrong-host': 'session-over',
  'session-key-retired': 'session-over',
  'session-signed-out': 'session-over',
  'session-revoked': 'withdrawn-certificate',
  'session-not-accepted': 'no-certificate',
  'nothing-shown': 'no-certificate',
  'internal-error': 'at-the-server',
}

export const refusalKind = (reason: DenyReason): RefusalKind => KINDS[reason]

interface Text {
  readonly title: string
  readonly lead: string
  readonly steps: readonly string[]
  /** Whether to try the same again, or to begin at the start page. */
  readonly way: 'again' | 'start'
}

const CHOSEN_BEFORE =
  'Did you cancel when the browser asked for a certificate, or choose another one? It remembers that until it is closed entirely: all its windows, on a phone by swiping it away. Then open it again.'
const ASK_FOR_ONE = 'Ask whoever runs this server for a new one, and install it on this device.'
const INSTALLED_SINCE =
  'Have you installed a new one already? Close the browser entirely and open it again, so that it asks which one to show.'

const TEXTS: Readonly<Record<RefusalKind, Text>> = {
  'no-certificate': {
    title: 'No certificate was shown',
    lead: 'Your browser has not shown the client certificate by which this server knows its devices.',
    steps: [
      'Is it installed on this device? If not, ask whoever runs this server for one.',
      CHOSEN_BEFORE,
    ],
    way: 'again',
  },
  'unsuitable-certificate': {
    title: 'This certificate does not open here',
    lead: 'Your browser has shown a client certificate that is not one of this server’s devices.',
    steps: [
      'Have you several certificates, and chosen another one? The browser remembers that until it is closed entirely: all its windows, on a phone by swiping it away. Then open it again.',
      'Is it the one that you were given for this server? Ask whoever runs it for a new one.',
    ],
    way: 'again',
  },
  'expired-certificate': {
    title: 'The certificate of this device has expired',
    lead: 'The client certificate that your browser has shown is past its time.',
    steps: [ASK_FOR_ONE, INSTALLED_SINCE],
    way: 'again',
  },
  'withdrawn-certificate': {
    title: 'The certificate of this device was withdrawn',
    lead: 'The client certificate of this device opens nothing any more.',
    steps: [`Should this device be let in? ${ASK_FOR_ONE}`, INSTALLED_SINCE],
    way: 'again',
  },
  'replaced-certificate': {
    title: 'This certificate was replaced by a newer one',
    lead: 'This device was given a newer client certificate, and your browser has shown the old one.',
    steps: [
      'Is the new one installed on this device? If not, install it, or ask whoever runs this server for it.',
      'Remove the old one, close the browser entirely and open it again, so that it shows the new one.',
    ],
    way: 'again',
  },
  'session-over': {
    title: 'The session of this device is over',
    lead: 'Your browser has to show the client certificate again, and has not done so this time.',
    steps: ['Try again: most browsers show it when the page is loaded anew.', CHOSEN_BEFORE],
    way: 'again',
  },
  'another-site': {
    title: 'Another site wanted to change something here',
    lead: 'Your browser was about to send something to this server, with your client certificate, at the wish of another site. Nothing was changed.',
    steps: ['If this was your own doing, begin at the start page of this server instead.'],
    way: 'start',
  },
  closed: {
    title: 'This page is closed',
    lead: 'What you asked for is not open to what this device has shown. A client certificate, or another one, may open it; other pages of this server may be open already.',
    steps: ['Do you need it? Ask whoever runs this server.'],
    way: 'start',
  },
  'closed-to-this': {
    title: 'This page is closed',
    lead: 'What you asked for opens to the client certificate of a device that may see it. Your browser has shown none this time, or that of another device.',
    steps: [
      'Is it installed on this device? If not, ask whoever runs this server for one.',
      CHOSEN_BEFORE,
    ],
    way: 'again',
  },
  'odd-request': {
    title: 'This request could not be read',
    lead: 'What has arrived at this server is not quite what a browser sends, so neither client certificate nor session was looked at.',
    steps: [
      'Type the address anew, or follow a fresh link.',
      'Does it stay so? An extension of the browser or another program on the way may change what is sent. Try another browser.',
    ],
    way: 'again',
  },
  'at-the-server': {
    title: 'This server cannot check your device now',
    lead: 'Something has to be put right at the server. Your device and its client certificate may be in order.',
    steps: ['Whoever runs this server finds the reason in its log.'],
    way: 'again',
  },
}

/** The page for one kind; `detail` is a sentence of its own after the first. */
export function refusalPage(kind: RefusalKind, detail = ''): HtmlDocument {
  const { title, lead, steps, way } = TEXTS[kind]
  const items = steps.map((step) => `<li>${step}</li>`).join('\n')
  const list = steps.length === 1 ? `<p>${steps[0]}</p>` : `<ul>\n${items}\n</ul>`
  const button =
    way === 'again'
      ? '<a class="button" href="">Try again</a>'
      : '<a class="button" href="/">Go to the start page</a>'
  const body = `<p>${lead}${detail === '' ? '' : ` ${detail}`}</p>\n${list}\n<p>${button}</p>`
  // Not what another site has begun: a form of its would be sent again.
  const script = kind === 'another-site' ? undefined : REFUSAL_SCRIPT
  return htmlDocument({ title, body, ...(script !== undefined && { script }) })
}

/** Says until when the certificate was good; whoever reads it has that date in the certificate. */
export function expiredPage(notAfterSeconds: number): HtmlDocument {
  const day = new Date(notAfterSeconds * 1000).toUTCString().slice(5, 16).replace(/^0/, '')
  return refusalPage('expired-certificate', `It was good until ${day}.`)
}

/** For who is let in by now: nginx asks twice, and in between somebody may have shown more. */
export const latecomerPage = (): HtmlDocument =>
  htmlDocument({
    title: 'One moment',
    body: '<p>This device and its client certificate are let in by now. If the page does not appear, reload it.</p>',
    refreshAfter: 1,
  })
