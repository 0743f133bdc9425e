import process from 'node:process'
import { limitHeapGrowth } from '../heap-growth.ts'
import type { ToWorker } from './messages.ts'
import { type Channel, createWorker } from './worker.ts'

// The primary decides when this process ends: a terminal sends its signals to all of them at once.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => {})

const channel: Channel = {
  send: (message) =>
    new Promise((resolve) => {
      if (process.connected) process.send?.(message, undefined, {}, () => resolve())
      else resolve()
    }),
  close: () => process.disconnect(),
}
limitHeapGrowth()
const obey = createWorker(channel)
process.on('message', (message: ToWorker) => obey(message))
await channel.send({ kind: 'hello' })
