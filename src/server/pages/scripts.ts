import { SESSION_PATH } from '../../policy/page-policy.ts'

/**
 * Scripts for the browser, as text: they are served exactly like this, and the pages' policy
 * contains their hash. Home Assistant's service worker answers requests from its own cache, so a
 * reload reaches the network only after the worker is unregistered. Nothing else of the site is
 * touched, so users stay logged in. Works in Safari 14, because old phones are refused too.
 */
export const UNREGISTER_WORKERS = `
async function unregisterWorkers() {
  if (!navigator.serviceWorker) return
  const registrations = await navigator.serviceWorker.getRegistrations().catch(() => [])
  await Promise.all(registrations.map((worker) => worker.unregister().catch(() => false)))
}
`

/** Whether a page may reload by itself: once in 60 s, if that can be remembered. */
export const MAY_LOAD_BY_ITSELF = `
function mayLoadByItself() {
  const mark = 'certlatch-reloaded'
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
 * The refusal page's script: the button reloads from the network, this page or the one that it
 * links to. Behind a service worker the page does so by itself, at most once in 60 s; if it could
 * not remember having done so, it waits for the button.
 */
export const REFUSAL_SCRIPT = `${UNREGISTER_WORKERS}${MAY_LOAD_BY_ITSELF}
async function reload() {
  await unregisterWorkers()
  location.reload()
}

const button = document.querySelector('.button')
button.addEventListener('click', async (event) => {
  event.preventDefault()
  const elsewhere = button.getAttribute('href')
  if (elsewhere === '') return reload()
  await unregisterWorkers()
  location.assign(elsewhere)
})
if (navigator.serviceWorker && navigator.serviceWorker.controller && mayLoadByItself()) reload()
`

/** The reset page's script: does the same immediately, and then opens the start page. */
export const RESET_SCRIPT = `${UNREGISTER_WORKERS}
unregisterWorkers().then(() => location.replace('/'))
`

/**
 * Runs inside Home Assistant's own page, which may come from its service worker's cache.
 * Disconnected and refused by the gate (recognized by `X-Certlatch`, because Home Assistant may use
 * the same status): reloads, so that the browser presents its certificate or shows the refusal
 * page. Allowed but disconnected: Chromium can't ask for a certificate on a WebSocket, so the
 * WebSocket fails if it is the first connection after a start, behind a cached page. The module's
 * own request makes Chromium choose a certificate, so a reload then connects. Connected: makes that
 * request often enough to renew the session, because an open page makes no requests of its own.
 * certlatch itself answers it, with 204 or the refusal. When nothing changes, it asks less and less
 * often: Home Assistant is restarting, or reloading did not help.
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

// What the page shows when its first WebSocket has failed; it retries by itself after a minute.
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
    return answer.status < 500 ? 'allowed' : 'unreachable'
  } catch (error) {
    return 'unreachable' // no network: not the gate's fault
  } finally {
    clearTimeout(timer)
  }
}

// Milliseconds until the page may be reloaded; 0 means now, and records the reload: the number of
// reloads without a connection, and the time of the last. Without storage it never reloads, because
// that might never end.
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
  const access = await askGate()
  isAsking = false
  if (isConnected()) return
  const helps = access === 'refused' || (access === 'allowed' && hasFailed())
  const wait = helps ? untilLoad() : 2 * pause
  pause = Math.min(wait, ASK_AT_LEAST_EVERY)
  if (wait > 0) return
  if (access === 'refused') await unregisterWorkers()
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
