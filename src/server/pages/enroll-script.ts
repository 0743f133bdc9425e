import { ENROLL_PATH } from '../../policy/page-policy.ts'
import { MAY_LOAD_BY_ITSELF, UNREGISTER_WORKERS } from './scripts.ts'

/**
 * Runs on every state of the enrollment page, which also works without it, with forms. The code
 * stays in the address's fragment, which is not sent to any server, until the device is set up;
 * looking up the invitation fetches the next state of the page and replaces this one. Works in
 * Safari 14, because old phones are enrolled too.
 */
export const ENROLL_SCRIPT = `${UNREGISTER_WORKERS}${MAY_LOAD_BY_ITSELF}
const PAGE = '${ENROLL_PATH}'
const agent = navigator.userAgent
const isIpad = /Macintosh/.test(agent) && navigator.maxTouchPoints > 1
const isIos = isIpad || /iPhone|iPad|iPod/.test(agent)
const isSafari = /Version\\/.*Safari\\//.test(agent) && !/CriOS|FxiOS|EdgiOS|OPiOS|OPT\\/|GSA\\/|DuckDuckGo/.test(agent)
const isInApp = /; wv\\)|FBAN|FBAV|Instagram|Line\\/|Snapchat|WhatsApp/.test(agent)

// Some mail scanners write the fragment's sign as %23, which makes the code a part of the path.
function codeInAddress() {
  const inPath = location.pathname.split(/%23/i)[1]
  if (inPath) history.replaceState(null, '', PAGE + '#' + inPath)
  return location.hash.slice(1)
}

function show(name, isShown) {
  for (const element of document.querySelectorAll('[data-show="' + name + '"]')) element.hidden = !isShown
}

// A worker of the application must not answer the claim or a download. It may also have fetched this
// page: then the server did not show a certificate that is ready for this browser, so reload.
async function leaveWorkers() {
  const isControlled = navigator.serviceWorker && navigator.serviceWorker.controller
  await unregisterWorkers()
  const asksForCode = document.getElementById('ask') && location.hash === ''
  if (isControlled && asksForCode && mayLoadByItself()) location.reload()
}

function prepare() {
  const locale = navigator.languages.find((name) => name.split('-')[0] === document.documentElement.lang)
  for (const element of document.querySelectorAll('time')) {
    const time = new Date(element.dateTime)
    const options = { dateStyle: 'long', timeStyle: 'short' }
    element.textContent = new Intl.DateTimeFormat(locale || document.documentElement.lang, options).format(time)
  }
  for (const button of document.querySelectorAll('[data-copy]')) {
    if (!navigator.clipboard) continue
    button.hidden = false
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(button.dataset.copy || location.href)
      button.textContent = button.dataset.copied
    })
  }
  const claim = document.getElementById('claim')
  if (claim && (isInApp || (isIos && !isSafari))) {
    claim.hidden = true
    show(isIos ? 'ios' : 'in-app', true)
    const link = document.getElementById('safari')
    if (link) link.href = 'x-safari-' + location.href
  }
  const form = document.getElementById('look')
  if (form) {
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const code = form.elements.code.value.split('#').pop().replace(/[^A-Za-z0-9]/g, '').toLowerCase()
      if (location.hash.slice(1) === code) look()
      else location.hash = code
    })
  }
  const again = document.getElementById('again')
  if (again) again.addEventListener('click', look)
  if (document.getElementById('claimed')) {
    history.replaceState(null, '', PAGE)
    const ipad = document.getElementById('guide-iphone')
    if (isIpad && ipad) ipad.open = true
  }
}

async function look() {
  const code = codeInAddress()
  if (code === '') return
  show('form', false)
  show('offline', false)
  show('looking', true)
  try {
    const headers = { Accept: 'text/html', 'Content-Type': 'application/x-www-form-urlencoded' }
    const body = 'code=' + encodeURIComponent(code)
    const answer = await fetch(PAGE + '/look', { method: 'POST', headers, body, cache: 'no-store' })
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    const found = page.querySelector('main')
    document.title = page.title
    document.querySelector('main').replaceWith(document.adoptNode(found))
  } catch (error) {
    show('looking', false)
    show('offline', true)
    return
  }
  prepare()
  const heading = document.querySelector('h1')
  heading.tabIndex = -1
  heading.focus()
}

addEventListener('hashchange', look)
leaveWorkers()
prepare()
if (!document.getElementById('claimed')) look()
`
