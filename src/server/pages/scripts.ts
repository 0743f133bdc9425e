import { SESSION_PATH } from '../../policy/page-policy.ts'

/**
 * What runs in the browser, as text: it is served as it stands here, and the pages' policy names its
 * hash. Home Assistant's service worker answers loads from its own cache, so a load reaches the
 * network only once the worker is unregistered. Nothing else of the site is touched: whoever is
 * logged in there stays so. Old phones are the point of it, so it keeps to what Safari 14 knows.
 */
export const UNREGISTER_WORKERS = `
async function unregisterWorkers() {
  if (!navigator.serviceWorker) return
  const registrations = await navigator.serviceWorker.getRegistrations().catch(() => [])
  await Promise.all(registrations.map((worker) => worker.unregister().catch(() => false)))
}
`

/** Whether a page may be loaded again without being asked to: once in 60 s, if that can be remembered. */
export const MAY_LOAD_BY_ITSELF = `
function mayLoadByItself() {
  const mark = 'certlatch-loaded-anew'
  const now = Date.now()
  try {
    if (Math.abs(now - Number(sessionStorage.getItem(mark))) < 60000) return false
    sessionStorage.setItem(mark, String(now))
    return true
  } catch (error) {
    return false
  }
}
`

/**
 * Of the refusal page: its button really loads anew, this page or the one that it names. If a worker
 * stands between, so does the page by itself, at most once in 60 s; where it could not remember that,
 * it waits for the button.
 */
export const REFUSAL_SCRIPT = `${UNREGISTER_WORKERS}${MAY_LOAD_BY_ITSELF}
async function loadAnew() {
  await unregisterWorkers()
  location.reload()
}

const button = document.querySelector('.button')
button.addEventListener('click', async (event) => {
  event.preventDefault()
  const elsewhere = button.getAttribute('href')
  if (elsewhere === '') return loadAnew()
  await unregisterWorkers()
  location.assign(elsewhere)
})
if (navigator.serviceWorker && navigator.serviceWorker.controller && mayLoadByItself()) loadAnew()
`

/** Of the reset page: the same, at once, and then to the start page. */
export const RESET_SCRIPT = `${UNREGISTER_WORKERS}
unregisterWorkers().then(() => location.replace('/'))
`

/**
 * Runs inside Home Assistant's own page, which its worker may have shown from a cache. Not connected
 * and refused by the gate (which it knows by `X-Certlatch`, not by a status that Home Assistant may
 * give as well): load anew, so that the certificate is shown or the refusal page is. Let in, and yet
 * not connected: Chromium cannot ask for a certificate on a WebSocket, so it fails one that is the
 * first connection after a start, behind a page from the worker's cache; this module's own question
 * settles which certificate is shown, so load anew, and the next one connects. Connected: ask for
 * something often enough to have the session renewed, for a page that is open makes no requests
 * of its own. What it asks for no rule has a reason to open; Home Assistant answers 404. It asks less
 * and less often where that changes nothing: Home Assistant restarts, or the loads have not helped.
 */
export function rescueModule(sessionTtlSeconds: number): string {
  return `const ASK_EVERY = ${(sessionTtlSeconds * 1000) / 4} // ms: a quarter of CERTLATCH_SESSION_TTL
const LOOK_EVERY = 2000
const ASK_AT_LEAST_EVERY = 30 * 1000
const ASK_FOR_AT_MOST = 10000
const LOAD_AGAIN_AFTER = 60 * 1000
const GIVE_UP_FOR = 15 * 60 * 1000
const LOADS_BEFORE_GIVING_UP = 3
const MARK = 'certlatch-rescue'
${UNREGISTER_WORKERS}
function isConnected() {
  const app = document.querySelector('home-assistant')
  return app === null || Boolean(app.hass && app.hass.connected)
}

// What the page shows when its first WebSocket has failed; by itself it tries again after a minute.
function hasFailed() {
  const page = document.querySelector('ha-init-page')
  return Boolean(page && page.error)
}

async function askGate() {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), ASK_FOR_AT_MOST)
  try {
    const answer = await fetch('${SESSION_PATH}', { cache: 'no-store', signal: limit.signal })
    if (answer.headers.get('X-Certlatch') === 'refused') return 'refused'
    return answer.status < 500 ? 'let in' : 'nobody there'
  } catch (error) {
    return 'nobody there' // no network: not the gate's doing
  } finally {
    clearTimeout(timer)
  }
}

// Milliseconds until the page may be loaded anew; 0 is now, and remembered as done: how many loads
// there were without a connection, and when the last was. Without a memory for that nothing is
// loaded: it might never end.
function untilLoad() {
  const now = Date.now()
  try {
    const [count = 0, last = 0] = JSON.parse(sessionStorage.getItem(MARK) || '[]')
    const passed = Math.abs(now - last)
    const before = passed < GIVE_UP_FOR ? count : 0
    const wait = before >= LOADS_BEFORE_GIVING_UP ? GIVE_UP_FOR : LOAD_AGAIN_AFTER
    if (passed < wait) return wait - passed
    sessionStorage.setItem(MARK, JSON.stringify([before + 1, now]))
    return 0
  } catch (error) {
    return GIVE_UP_FOR
  }
}

function forgetLoads() {
  try {
    sessionStorage.removeItem(MARK)
  } catch (error) {
    // Then there is nothing to forget.
  }
}

let askedAt = 0
let pause = LOOK_EVERY / 2
let isAsking = false

async function look() {
  if (document.visibilityState !== 'visible' || isAsking) return
  const connected = isConnected()
  if (connected) {
    forgetLoads()
    pause = LOOK_EVERY / 2
  }
  const passed = Math.abs(Date.now() - askedAt)
  if (passed < (connected ? ASK_EVERY : pause) - LOOK_EVERY / 2) return
  isAsking = true
  askedAt = Date.now()
  const told = await askGate()
  isAsking = false
  if (isConnected()) return
  const helps = told === 'refused' || (told === 'let in' && hasFailed())
  const wait = helps ? untilLoad() : 2 * pause
  pause = Math.min(wait, ASK_AT_LEAST_EVERY)
  if (wait > 0) return
  if (told === 'refused') await unregisterWorkers()
  location.reload()
}

function lookAtOnce() {
  askedAt = 0
  pause = LOOK_EVERY / 2
  look()
}

document.addEventListener('visibilitychange', lookAtOnce)
addEventListener('online', lookAtOnce)
setInterval(look, LOOK_EVERY)
look()
`
}
