import { hash } from 'node:crypto'

/** What a page consists of; all of it is our own text, nothing comes from a request. */
export interface PageContent {
  readonly title: string
  /** HTML that follows the title. */
  readonly body: string
  /** The one script that may run. */
  readonly script?: string
  /** Seconds after which the browser loads the page anew. */
  readonly refreshAfter?: number
}

/** A page, and the policy under which it works as it is and with nothing added. */
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
p:last-child { margin: 1.5rem 0 0 }
.button {
  display: inline-block; padding: .65rem 1.4rem; border-radius: .6rem;
  background: var(--accent); color: var(--on-accent); font-weight: 600; text-decoration: none;
}
.button:focus-visible { outline: 3px solid var(--text); outline-offset: 2px }
@media (max-width: 40rem) {
  body { background: var(--card) }
  main { margin: 0; padding: 1.75rem 1.35rem; border: 0 }
  .button { display: block; text-align: center }
}
`

const PADLOCK =
  '<svg viewBox="3.5 2 17 20" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><rect x="4.5" y="10.5" width="15" height="10" rx="2.2"/><path d="M8 10.5V7a4 4 0 0 1 8 0v3.5M12 14.5v2"/></svg>'

const sourceOf = (text: string): string => `'sha256-${hash('sha256', text, 'base64')}'`

const STYLE_SOURCE = sourceOf(STYLE)

/** Puts the page together. It loads nothing, sends nothing, and nobody can frame it. */
export function htmlDocument({ title, body, script, refreshAfter }: PageContent): HtmlDocument {
  const refresh =
    refreshAfter === undefined ? '' : `\n<meta http-equiv="refresh" content="${refreshAfter}">`
  const code = script === undefined ? '' : `<script>${script}</script>\n`
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>${refresh}
<style>${STYLE}</style>
</head>
<body>
<main>
${PADLOCK}
<h1>${title}</h1>
${body}
</main>
${code}</body>
</html>
`
  const directives = [
    "default-src 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    `style-src ${STYLE_SOURCE}`,
    ...(script === undefined ? [] : [`script-src ${sourceOf(script)}`]),
  ]
  return { html, contentSecurityPolicy: directives.join('; ') }
}
