import { type Platform, platformOf } from '../../enrollment/user-agent.ts'
import { DONE_PATH, DOWNLOADS, ENROLL_PATH, LOOK_PATH } from '../../policy/page-policy.ts'
import { type HtmlDocument, htmlDocument } from './document.ts'
import { ENROLL_SCRIPT } from './enroll-script.ts'
import { escapeHtml, fill, fillText } from './html.ts'
import type { Texts } from './languages/en.ts'
import { LANGUAGES, type Language } from './languages/languages.ts'
import { codeField, listOf, timeElement } from './refusal-pages.ts'
import { type EnrollProblem, GUIDES, type GuideName } from './texts.ts'

type EnrollTexts = Texts['enroll']

const page = (language: Language, title: string, body: string): HtmlDocument =>
  htmlDocument({ language, title, body, script: ENROLL_SCRIPT, hasForm: true, fetches: true })

/** Asks for an invitation's code; the script takes it from the address, and looks it up. */
export function codePage(language: Language, known: string | undefined): HtmlDocument {
  const { enroll } = LANGUAGES[language]
  const lead = `<p id="ask" data-show="form">${escapeHtml(enroll.askForCode)}</p>`
  const body = `${knownNotice(enroll, known)}${lead}\n${codeForm(language)}`
  return page(language, enroll.title, body)
}

/** Says why an invitation cannot be collected; another code can be typed there. */
export function problemPage(
  language: Language,
  problem: EnrollProblem,
  collectedAt: number | undefined,
): HtmlDocument {
  const { title, lead, steps } = LANGUAGES[language].enroll.problems[problem]
  const time = collectedAt === undefined ? '' : timeElement(collectedAt, language)
  // The only value is our own HTML.
  const text = escapeHtml(lead).replace('{time}', time)
  const body = `<div data-show="form"><p>${text}</p>\n${listOf(steps)}</div>\n${codeForm(language)}`
  return page(language, title, body)
}

const knownNotice = (texts: EnrollTexts, known: string | undefined): string =>
  known === undefined ? '' : `<p class="notice">${fill(texts.already, { device: known })}</p>\n`

function codeForm(language: Language): string {
  const { enroll } = LANGUAGES[language]
  return `<form id="look" method="post" action="${LOOK_PATH}" data-show="form">
${codeField(language)}
<p><button>${escapeHtml(enroll.continue)}</button></p>
</form>
<div aria-live="polite">
<p data-show="looking" hidden>${escapeHtml(enroll.looking)}</p>
<div data-show="offline" hidden>
<p>${escapeHtml(enroll.offline)}</p>
<p><button id="again" type="button">${escapeHtml(enroll.again)}</button></p>
</div>
</div>`
}

/** What the page shows of an invitation before anything is claimed. */
export interface Invited {
  readonly device: string
  readonly owner: string | undefined
  readonly site: string
  /** Unix seconds. */
  readonly endsAt: number
  readonly code: string
  /** Sent back with the claim, so that a lost answer can be repeated. */
  readonly nonce: string
  /** The device whose certificate or session this browser already has. */
  readonly known: string | undefined
}

export function invitedPage(language: Language, invited: Invited): HtmlDocument {
  const { enroll } = LANGUAGES[language]
  const { device, owner, site, endsAt, code, nonce, known } = invited
  const host = new URL(site).host
  const copyLink = copyButton(enroll, enroll.copyLink, '')
  const owned =
    owner === undefined ? '' : `<dt>${escapeHtml(enroll.owner)}</dt><dd>${escapeHtml(owner)}</dd>\n`
  const body = `${knownNotice(enroll, known)}<p>${fill(enroll.invited, { device, site: host })}</p>
<dl>
${owned}<dt>${escapeHtml(enroll.until)}</dt><dd>${timeElement(endsAt, language)}</dd>
</dl>
<form id="claim" method="post" action="${ENROLL_PATH}">
<input type="hidden" name="code" value="${escapeHtml(code)}">
<input type="hidden" name="nonce" value="${escapeHtml(nonce)}">
<p class="hint">${escapeHtml(enroll.claimHint)}</p>
<p><button>${escapeHtml(enroll.claim)}</button></p>
</form>
<div data-show="ios" hidden>
<p class="notice">${escapeHtml(enroll.openInSafari)}</p>
<p><a class="button" id="safari" href="">${escapeHtml(enroll.safariButton)}</a> ${copyLink}</p>
</div>
<div data-show="in-app" hidden>
<p class="notice">${escapeHtml(enroll.openInBrowser)}</p>
<p>${copyLink}</p>
</div>`
  return page(language, fillText(enroll.invitedTitle, { device }), body)
}

/** A button that copies a text, or the page's own address if that is empty. */
const copyButton = (texts: EnrollTexts, label: string, copied: string): string =>
  `<button type="button" class="second" data-copy="${escapeHtml(copied)}" data-copied="${escapeHtml(texts.copied)}" hidden>${escapeHtml(label)}</button>`

/** Shown to a device that has collected its certificate, and now installs it. */
export interface Claimed {
  readonly device: string
  readonly site: string
  readonly password: string
  /** Whether this browser has access by now. */
  readonly hasAccess: boolean
  /** Whether it presents a certificate that is refused. */
  readonly showsRefused: boolean
  readonly userAgent: string | undefined
}

export function claimedPage(language: Language, claimed: Claimed): HtmlDocument {
  const { enroll } = LANGUAGES[language]
  const { device, hasAccess, showsRefused, password } = claimed
  const refused = showsRefused
    ? `<p class="notice">${escapeHtml(enroll.refusedCertificate)}</p>\n`
    : ''
  const first = FIRST[platformOf(claimed.userAgent) ?? 'none']
  const guide = (name: GuideName) => guideOf(enroll, name, claimed, first.includes(name))
  const others = GUIDES.filter((name) => !first.includes(name))
  const body = `<div id="claimed">
<p>${escapeHtml(hasAccess ? enroll.inNow : enroll.notInNow)}</p>
${refused}${first.map(guide).join('\n')}
<details><summary>${escapeHtml(enroll.showPassword)}</summary>
<p class="hint">${escapeHtml(enroll.password)}</p>
<p class="password">${escapeHtml(password)}</p>
</details>
<p class="hint">${escapeHtml(enroll.keepHint)}</p>
<form method="post" action="${DONE_PATH}"><p><button>${escapeHtml(enroll.open)}</button></p></form>
<div class="invited">
<h2>${escapeHtml(first.length === 0 ? enroll.title : enroll.otherDevices)}</h2>
${others.map(guide).join('\n')}
<details><summary>${escapeHtml(enroll.troubleTitle)}</summary>
${listOf(enroll.trouble)}
</details>
</div>
</div>`
  return page(language, fillText(enroll.claimedTitle, { device }), body)
}

/** The guides that are expanded, depending on the browser's system. */
const FIRST: Readonly<Record<Platform | 'none', readonly GuideName[]>> = {
  iphone: ['iphone', 'iphoneApp'],
  android: ['android'],
  mac: ['mac'],
  windows: ['windows'],
  linux: ['linux'],
  none: [],
}

type Action = 'profile' | 'p12' | 'file' | 'modern' | 'password' | 'app'

/** The buttons for each guide, in the order of its steps. */
const ACTIONS: Readonly<Record<GuideName, readonly Action[]>> = {
  iphone: ['profile'],
  iphoneApp: ['file', 'password', 'app'],
  android: ['password', 'p12', 'app'],
  mac: ['profile'],
  windows: ['password', 'p12', 'modern'],
  linux: ['password', 'p12', 'modern'],
}

function guideOf(
  texts: EnrollTexts,
  name: GuideName,
  { device, site, password }: Claimed,
  isOpen: boolean,
): string {
  const { title, steps } = texts.guides[name]
  const values = { device, site: new URL(site).host }
  const items = steps.map((step) => `<li>${fill(step, values)}</li>`).join('\n')
  const actions = ACTIONS[name].map((action) => actionOf(texts, action, site, password)).join('\n')
  return `<details id="guide-${name}"${isOpen ? ' open' : ''}><summary>${escapeHtml(title)}</summary>
<ol>
${items}
</ol>
<p>${actions}</p>
</details>`
}

function actionOf(texts: EnrollTexts, action: Action, site: string, password: string): string {
  const link = (href: string, text: string, kind = 'button') =>
    `<a class="${kind}" href="${escapeHtml(href)}">${escapeHtml(text)}</a>`
  switch (action) {
    case 'profile':
      return link(DOWNLOADS.mobileconfig, texts.downloadProfile)
    case 'p12':
      return link(DOWNLOADS.p12, texts.downloadCertificate)
    case 'file':
      return link(DOWNLOADS.file, texts.saveFile)
    case 'modern':
      return `<br>${link(DOWNLOADS.modernP12, texts.modernCertificate, 'hint')}`
    case 'app':
      return link(
        `homeassistant://invite#url=${encodeURIComponent(site)}`,
        texts.openApp,
        'button second',
      )
    case 'password':
      return copyButton(texts, texts.copyPassword, password)
  }
}
