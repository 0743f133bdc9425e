#!/usr/bin/env node
// Reloads Caddy's configuration as it is, which cuts every open WebSocket: after a revocation, for
// instance. Devices that are still allowed reconnect at once, through certlatch. README.md says how to
// use it. What `caddy reload --force` does, without the Caddyfile and the environment it was read in.

const [admin = 'http://localhost:2019'] = process.argv.slice(2)

const ask = async (path, method, headers, body) => {
  const answer = await fetch(new URL(path, admin), {
    method,
    // Caddy takes us for a browser, and checks the origin of its page.
    headers: { Origin: new URL(admin).origin, ...headers },
    body,
    signal: AbortSignal.timeout(10_000),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${answer.status} ${text.trim()}`)
  return text
}

try {
  const configuration = await ask('/config/', 'GET')
  // Without this header Caddy does nothing if nothing has changed.
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'must-revalidate' }
  await ask('/load', 'POST', headers, configuration)
} catch (error) {
  console.error(`end-streams.mjs: ${admin}: ${error.cause?.code ?? error.cause?.message ?? error.message}`)
  process.exitCode = 1
}
