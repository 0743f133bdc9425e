import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { findProgram } from '../support/tools.ts'
import { type Case, ONCE } from './case.ts'

const OFFERED = /Acceptable client certificate CA names\n.*The household/

export const HANDSHAKE: readonly Case[] = [
  {
    name: "a browser is told which CAs' certificates to offer",
    protocols: ONCE,
    run: async (gate) => {
      const address = `127.0.0.1:${gate.target.port}`
      const args = ['s_client', '-connect', address, '-servername', 'home.example']
      const text = await new Promise<string>((resolve) => {
        execFile(findProgram('openssl'), args, (_, out) => resolve(out)).stdin?.end()
      })
      assert.match(text, OFFERED, 'offered: the names of our CA')
    },
  },
  {
    name: 'the internal locations of the auth requests cannot be reached from outside',
    protocols: ONCE,
    proxies: ['nginx'],
    run: async (gate) => {
      const cookie = await gate.session('ada')
      for (const path of ['/_certlatch', '/_certlatch_page']) {
        const { status } = await gate.send({ cookie, path })
        assert.equal(status, 404, `${path}: expected 404, got ${status}`)
      }
    },
  },
]
