import { type HtmlDocument, htmlDocument } from './document.ts'
import { escapeHtml } from './html.ts'
import { LANGUAGES, type Language } from './languages/languages.ts'
import { RESET_SCRIPT } from './scripts.ts'

/** Opened by hand: does what the refusal page does behind a service worker. */
export function resetPage(language: Language): HtmlDocument {
  const { reset, startPage } = LANGUAGES[language]
  const { title, lead, withoutScript } = reset
  const body = `<p>${escapeHtml(lead)}</p>
<noscript><p>${escapeHtml(withoutScript)}</p></noscript>
<p><a class="button" href="/">${escapeHtml(startPage)}</a></p>`
  return htmlDocument({ language, title, body, script: RESET_SCRIPT })
}
