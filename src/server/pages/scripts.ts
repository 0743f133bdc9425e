/**
 * What runs in the browser, as text: it is served as it stands here, and the pages' policy names its
 * hash. Home Assistant's service worker answers loads from its own cache, so a load reaches the
 * network only once the worker is unregistered. Nothing else of the site is touched: whoever is
 * logged in there stays so. Old phones are the point of it, so it keeps to what Safari 14 knows.
 */
const UNREGISTER_WORKERS = `
async function unregisterWorkers() {
  if (!navigator.serviceWorker) return
  const registrations = await navigator.serviceWorker.getRegistrations().catch(() => [])
  await Promise.all(registrations.map((worker) => worker.unregister().catch(() => false)))
}
`

/**
 * Of the refusal page: its button really loads anew. If a worker stands between, so does the page
 * by itself, at most once in 60 s; where it could not remember that, it waits for the button.
 */
export const REFUSAL_SCRIPT = `${UNREGISTER_WORKERS}
async function loadAnew() {
  await unregisterWorkers()
  location.reload()
}

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

document.querySelector('.button').addEventListener('click', (event) => {
  event.preventDefault()
  loadAnew()
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
 * give as well): load anew, so that the certificate is shown or the refusal page is. Connected: ask
 * for something often enough to have the session renewed, for a page that is open makes no requests
 * of its own. `/manifest.json` is what the worker never keeps and Home Assistant gives to anybody.
 */
export function rescueModule(sessionTtlSeconds: number): string {
  return `const ASK_EVERY = ${(sessionTtlSeconds * 1000) / 4} // ms: a quarter of CERTLATCH_SESSION_TTL
const LOOK_EVERY = 2000
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

async function isRefused() {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), ASK_FOR_AT_MOST)
  try {
    const answer = await fetch('/manifest.json', { cache: 'no-store', signal: limit.signal })
    return answer.headers.get('X-Certlatch') === 'refused'
  } catch (error) {
    return false // no network: not the gate's doing
  } finally {
    clearTimeout(timer)
  }
}

// Loads without a connection since, and when the last of them was. Without a memory for that
// nothing is loaded: it might never end.
function mayLoadAnew() {
  const now = Date.now()
  try {
    const [count = 0, last = 0] = JSON.parse(sessionStorage.getItem(MARK) || '[]')
    const passed = Math.abs(now - last)
    const before = passed < GIVE_UP_FOR ? count : 0
    if (before >= LOADS_BEFORE_GIVING_UP || passed < LOAD_AGAIN_AFTER) return false
    sessionStorage.setItem(MARK, JSON.stringify([before + 1, now]))
    return true
  } catch (error) {
    return false
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
let isAsking = false

async function look() {
  if (document.visibilityState !== 'visible' || isAsking) return
  const connected = isConnected()
  if (connected) forgetLoads()
  if (connected && Math.abs(Date.now() - askedAt) < ASK_EVERY) return
  isAsking = true
  askedAt = Date.now()
  const refused = await isRefused()
  isAsking = false
  if (!refused || isConnected() || !mayLoadAnew()) return
  await unregisterWorkers()
  location.reload()
}

document.addEventListener('visibilitychange', () => {
  askedAt = 0
  look()
})
setInterval(look, LOOK_EVERY)
look()
`
}
