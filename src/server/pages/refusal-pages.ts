import { LOOK_PATH } from '../../policy/page-policy.ts'
import { type HtmlDocument, htmlDocument } from './document.ts'
import { escapeHtml, fillText } from './html.ts'
import { LANGUAGES, type Language } from './languages/languages.ts'
import type { RefusalKind } from './refusal-kinds.ts'
import { REFUSAL_SCRIPT, RESET_SCRIPT } from './scripts.ts'

/** Pages that link to the start page, because retrying the same request would not help. */
const TO_THE_START: ReadonlySet<RefusalKind> = new Set(['another-site', 'closed'])

export interface RefusalDetails {
  /** An additional sentence after the first. */
  readonly detail?: string
  /** Whether the page may ask for the code of an invitation: the service has enrollment pages. */
  readonly hasInvitations?: boolean
}

/** The page for one kind. */
export function refusalPage(
  kind: RefusalKind,
  language: Language,
  { detail, hasInvitations = false }: RefusalDetails = {},
): HtmlDocument {
  const texts = LANGUAGES[language]
  const { title, lead, steps } = texts.refusals[kind]
  const button = TO_THE_START.has(kind)
    ? `<a class="button" href="/">${escapeHtml(texts.startPage)}</a>`
    : `<a class="button" href="">${escapeHtml(texts.tryAgain)}</a>`
  const first = detail === undefined ? lead : `${lead} ${detail}`
  const hasForm = kind === 'no-certificate' && hasInvitations
  const invited = hasForm ? invitationForm(language) : ''
  const body = `<p>${escapeHtml(first)}</p>\n${listOf(steps)}\n<p>${button}</p>${invited}`
  // Not for a request that another site sent: its form would be submitted again.
  const script = kind === 'another-site' ? undefined : REFUSAL_SCRIPT
  return htmlDocument({ language, title, body, hasForm, ...(script !== undefined && { script }) })
}

/** One step as a sentence, several as a list. */
export function listOf(steps: readonly string[]): string {
  const items = steps.map((step) => `<li>${escapeHtml(step)}</li>`).join('\n')
  return steps.length === 1 ? `<p>${escapeHtml(steps[0] ?? '')}</p>` : `<ul>\n${items}\n</ul>`
}

/** By POST: a code in a URL would be in the log of every proxy. */
function invitationForm(language: Language): string {
  const { haveYouBeenInvited, enroll } = LANGUAGES[language]
  return `
<form class="invited" method="post" action="${LOOK_PATH}">
<h2>${escapeHtml(haveYouBeenInvited)}</h2>
${codeField(language)}
<p><button>${escapeHtml(enroll.continue)}</button></p>
</form>`
}

/** The field for the code of an invitation. */
export function codeField(language: Language): string {
  const { code, codeHint } = LANGUAGES[language].enroll
  return `<label for="code">${escapeHtml(code)}</label>
<input id="code" name="code" required maxlength="400" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="code-hint">
<p class="hint" id="code-hint">${escapeHtml(codeHint)}</p>`
}

/** Says when the certificate expired: the reader has that date in the certificate itself. */
export function expiredPage(notAfterSeconds: number, language: Language): HtmlDocument {
  const day = writeTime(notAfterSeconds, language)
  const detail = fillText(LANGUAGES[language].expiredOn, { day })
  return refusalPage('expired-certificate', language, { detail })
}

/** The day in UTC, with the time if a style is given for it. */
function writeTime(seconds: number, language: Language, timeStyle?: 'short'): string {
  // British English, day before month, like the other languages.
  const locale = language === 'en' ? 'en-GB' : language
  const options = { dateStyle: 'long', timeStyle, timeZone: 'UTC' } as const
  return new Intl.DateTimeFormat(locale, options).format(seconds * 1000)
}

/** A time in UTC, which the page's script converts to the reader's own time zone. */
export function timeElement(seconds: number, language: Language): string {
  const text = writeTime(seconds, language, 'short')
  const machine = new Date(seconds * 1000).toISOString()
  return `<time datetime="${machine}">${escapeHtml(text)} UTC</time>`
}

/** Shown when nginx's second request would be allowed: access changed between the two. */
export function latecomerPage(language: Language): HtmlDocument {
  const { title, lead } = LANGUAGES[language].latecomer
  return htmlDocument({ language, title, body: `<p>${escapeHtml(lead)}</p>`, refreshAfter: 1 })
}

/** For people to open themselves: does what the refusal page does behind a service worker. */
export function resetPage(language: Language): HtmlDocument {
  const { reset, startPage } = LANGUAGES[language]
  const { title, lead, withoutScript } = reset
  const body = `<p>${escapeHtml(lead)}</p>
<noscript><p>${escapeHtml(withoutScript)}</p></noscript>
<p><a class="button" href="/">${escapeHtml(startPage)}</a></p>`
  return htmlDocument({ language, title, body, script: RESET_SCRIPT })
}
