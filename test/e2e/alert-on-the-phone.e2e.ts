/** The shipped automation in a real Home Assistant, which receives what Alertmanager sends. */
import assert from 'node:assert/strict'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { homeAssistantMissing, startHomeAssistant } from './support/home-assistant.ts'
import { repositoryFolder, until } from './support/tools.ts'

/** In place of the phone: records each notification, one JSON object per line. */
const PHONE = `
import json, os
async def async_setup(hass, config):
    path = hass.config.path('told.jsonl')
    async def told(call):
        line = json.dumps(dict(call.data)).encode() + b'\\n'
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, line)
        os.close(file)
    hass.services.async_register('notify', 'mobile_app_phone', told)
    return True
`
const MANIFEST = {
  domain: 'phone',
  name: 'Phone',
  version: '1.0.0',
  documentation: 'https://example.org/',
  dependencies: [],
  codeowners: [],
}

const alert = (status: 'firing' | 'resolved', severity: string, summary: string) => ({
  status,
  labels: { alertname: 'CertlatchDown', severity },
  annotations: { summary, runbook: 'Look at the log.' },
  fingerprint: `of ${summary.length}`,
})

/** A device's name is the operator's, and yet no order to Home Assistant. */
const ODD = 'Ada\'s "phone" 📱 {{ 1 + 1 }} ends'

test('An alert becomes a notification on the phone, and disappears when it is over', {
  skip: homeAssistantMissing(),
  timeout: 150_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-phone-'))
  const component = join(folder, 'custom_components', 'phone')
  mkdirSync(component, { recursive: true })
  writeFileSync(join(component, '__init__.py'), PHONE)
  writeFileSync(join(component, 'manifest.json'), JSON.stringify(MANIFEST))
  const shipped = join(repositoryFolder(), 'deploy/prometheus/home-assistant.yaml')
  cpSync(shipped, join(folder, 'certlatch.yaml'))
  const more = 'automation certlatch: !include certlatch.yaml\nphone:\n'
  const homeAssistant = await startHomeAssistant(folder, { behindProxy: false, more })
  try {
    const [{ triggers }] = parse(readFileSync(shipped, 'utf8'))
    const url = `http://127.0.0.1:${homeAssistant.port}/api/webhook/${triggers[0].webhook_id}`
    const body = JSON.stringify({
      version: '4',
      alerts: [
        alert('firing', 'critical', 'no one gets in'),
        alert('firing', 'warning', ODD),
        alert('resolved', 'critical', 'no one gets in'),
      ],
    })
    const told = (): readonly Record<string, unknown>[] => {
      const file = join(folder, 'told.jsonl')
      const lines = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
      return lines.map((line) => JSON.parse(line))
    }
    await until(
      'the automation listens',
      async () => {
        await fetch(url, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } })
        return told().length >= 3
      },
      20_000,
    )
    assert.deepEqual(told().slice(0, 3), [
      {
        title: 'no one gets in',
        message: 'Look at the log.',
        data: {
          tag: 'certlatch-of 14',
          group: 'certlatch',
          push: { 'interruption-level': 'time-sensitive' },
        },
      },
      {
        title: ODD,
        message: 'Look at the log.',
        data: {
          tag: `certlatch-of ${ODD.length}`,
          group: 'certlatch',
          push: { 'interruption-level': 'active' },
        },
      },
      { message: 'clear_notification', data: { tag: 'certlatch-of 14' } },
    ])
  } finally {
    await homeAssistant.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
