import { createServer, type Server } from 'node:http'
import { WebSocketServer } from 'ws'

/** The application behind the gate: a page, and a WebSocket that echoes its messages. */
export function createApplication(): Server {
  const server = createServer((req, res) => {
    const user = Buffer.from(String(req.headers['remote-user'] ?? ''), 'latin1').toString('utf8')
    res.setHeader('Content-Type', 'text/html; charset=utf-8')
    res.end(`<!doctype html><title>Home</title><h1>Welcome home, ${escapeHtml(user)}</h1>\n`)
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => {
    socket.on('message', (message) => socket.send(`echo: ${message}`))
  })
  return server
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
