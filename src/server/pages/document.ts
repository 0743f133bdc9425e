import { hash } from 'node:crypto'
import { escapeHtml } from './html.ts'
import type { Language } from './languages/languages.ts'

/** The parts of a page; anything that comes from a request is escaped. */
export interface PageContent {
  readonly language: Language
  readonly title: string
  /** The HTML after the title. */
  readonly body: string
  /** The only script that may run. */
  readonly script?: string
  /** Seconds after which the browser reloads the page. */
  readonly refreshAfter?: number
  /** Whether it has a form that posts to this site. */
  readonly hasForm?: boolean
  /** Whether its script makes requests to this site. */
  readonly fetches?: boolean
}

/** A page, and the policy that allows exactly its own parts. */
export interface HtmlDocument {
  readonly html: string
  readonly contentSecurityPolicy: string
}

const STYLE = `
:root {
  color-scheme: light dark;
  --page: #eef1f5; --card: #fff; --line: #d7dde5; --text: #1b222b;
  --accent: #0b62b8; --on-accent: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141a; --card: #1a2029; --line: #2f3845; --text: #e6eaf0;
    --accent: #7cbcff; --on-accent: #0c2238;
  }
}
body { margin: 0; background: var(--page); color: var(--text); font: 1.0625rem/1.55 system-ui, sans-serif }
main {
  box-sizing: border-box; max-width: 38rem; margin: 10vh auto; padding: 2.25rem 2.5rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 1rem; overflow-wrap: break-word;
}
svg { display: block; height: 2.25rem; color: var(--accent) }
h1 { margin: .9rem 0 .5rem; font-size: 1.5rem; line-height: 1.25 }
ul { margin: 1rem 0; padding-left: 1.25rem }
li { margin: .6rem 0 }
h1:focus { outline: 0 }
h2 { margin: 0 0 .8rem; font-size: 1.15rem }
p:last-child { margin: 1.5rem 0 0 }
.button, button {
  display: inline-block; box-sizing: border-box; margin: .25rem .25rem .25rem 0; padding: .65rem 1.4rem;
  border: 2px solid var(--accent); border-radius: .6rem; cursor: pointer; text-decoration: none;
  background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; line-height: 1.35;
}
.second { background: transparent; color: var(--accent) }
.button:focus-visible, button:focus-visible, summary:focus-visible, input:focus-visible {
  outline: 3px solid var(--text); outline-offset: 2px;
}
.invited { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line) }
form { margin-top: 1.5rem }
label { display: block; font-weight: 600 }
input {
  box-sizing: border-box; width: 100%; margin: .35rem 0; padding: .6rem .7rem; border: 1px solid var(--text);
  border-radius: .5rem; background: var(--page); color: var(--text); font: 1.0625rem/1.4 ui-monospace, monospace;
}
.hint { margin: 0; font-size: .9375rem }
dl { display: grid; grid-template-columns: auto 1fr; gap: .35rem 1.25rem; margin: 1.25rem 0 }
dt { font-weight: 600 }
dd { margin: 0; min-width: 0 }
.notice { padding: .8rem 1rem; border-left: 4px solid var(--accent); background: var(--page); border-radius: .3rem }
details { margin: .75rem 0; padding: 0 1rem; border: 1px solid var(--line); border-radius: .6rem }
details > summary { margin: 0 -1rem; padding: .75rem 1rem; font-weight: 600; cursor: pointer; border-radius: .6rem }
details > :last-child { margin-bottom: 1rem }
ol { margin: 1rem 0; padding-left: 1.5rem }
.password { margin: .25rem 0 .75rem; font: 600 1.35rem/1.5 ui-monospace, monospace; user-select: all }
[hidden] { display: none }
@media (max-width: 40rem) {
  body { background: var(--card) }
  main { margin: 0; padding: 1.75rem 1.35rem; border: 0 }
  .button, button { display: block; width: 100%; margin: .5rem 0; text-align: center }
  dl { grid-template-columns: 1fr; gap: 0 }
  dd { margin-bottom: .6rem }
}
`

const PADLOCK =
  '<svg viewBox="3.5 2 17 20" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><rect x="4.5" y="10.5" width="15" height="10" rx="2.2"/><path d="M8 10.5V7a4 4 0 0 1 8 0v3.5M12 14.5v2"/></svg>'

const sourceOf = (text: string): string => `'sha256-${hash('sha256', text, 'base64')}'`

const STYLE_SOURCE = sourceOf(STYLE)

/** Assembles the page. It loads nothing, sends nothing, and can't be framed. */
export function htmlDocument(content: PageContent): HtmlDocument {
  const { language, title, body, script, refreshAfter, hasForm, fetches } = content
  const heading = escapeHtml(title)
  const refresh =
    refreshAfter === undefined ? '' : `\n<meta http-equiv="refresh" content="${refreshAfter}">`
  const code = script === undefined ? '' : `<script>${script}</script>\n`
  const html = `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${heading}</title>${refresh}
<style>${STYLE}</style>
</head>
<body>
<main>
${PADLOCK}
<h1>${heading}</h1>
${body}
</main>
${code}</body>
</html>
`
  const directives = [
    "default-src 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    `form-action ${hasForm ? "'self'" : "'none'"}`,
    `style-src ${STYLE_SOURCE}`,
    ...(script === undefined ? [] : [`script-src ${sourceOf(script)}`]),
    ...(fetches ? ["connect-src 'self'"] : []),
  ]
  return { html, contentSecurityPolicy: directives.join('; ') }
}
