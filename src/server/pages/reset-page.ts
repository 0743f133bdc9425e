import { type HtmlDocument, htmlDocument } from './document.ts'
import { RESET_SCRIPT } from './scripts.ts'

/** For a person to open by hand: does what the refusal page does behind a service worker. */
export const resetPage = (): HtmlDocument =>
  htmlDocument({
    title: 'Loading this site anew',
    body: `<p>What this browser has kept of the site’s pages is set aside, and the start page is loaded from the server. Nobody is logged out.</p>
<noscript><p>This needs JavaScript. Without it, delete the data of this site in the browser’s settings instead; that logs you out.</p></noscript>
<p><a class="button" href="/">Go to the start page</a></p>`,
    script: RESET_SCRIPT,
  })
