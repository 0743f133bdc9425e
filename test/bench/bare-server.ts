import { createServer } from 'node:http'

// The upper bound: an empty answer from Node itself. `bare-server.js <port>`
createServer((_, response) => {
  response.writeHead(200, { 'Content-Length': 0 })
  response.end()
}).listen(Number(process.argv[2]), '127.0.0.1')
