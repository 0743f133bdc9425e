#!/usr/bin/env node
// Cuts HAProxy's connections to a server, WebSockets and event streams included: after a revocation, for
// instance. Devices that are still allowed reconnect at once, through certlatch. README.md says how to
// use it.
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

const [path, server] = process.argv.slice(2)
if (server === undefined) {
  console.error('usage: end-streams.mjs SOCKET BACKEND/SERVER')
  process.exit(2)
}
try {
  const socket = connect(path)
  socket.setTimeout(10_000, () => socket.destroy(new Error('no answer within ten seconds')))
  socket.end(`shutdown sessions server ${server}\n`)
  // An empty line means done; anything else is an error message.
  const answer = (await text(socket)).trim()
  if (answer !== '') throw new Error(answer)
} catch (error) {
  console.error(`end-streams.mjs: ${path}: ${error.code ?? error.message}`)
  process.exitCode = 1
}
