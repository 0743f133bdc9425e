// The preset and the rules in front of a real Home Assistant: what has to pass passes, and no way to
// write a path that its router understands gets round a rule.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { HeaderLine } from './support/backend.ts'
import type { Received } from './support/client.ts'
import {
  DOORBELL,
  homeAssistantMissing,
  type Person,
  WEBHOOK_ID,
} from './support/home-assistant.ts'
import { registration } from './support/home-assistant-app.ts'
import {
  type Household,
  type HouseholdDevice,
  send,
  startHousehold,
} from './support/home-assistant-household.ts'
import { climbing, spelled } from './support/path-tricks.ts'
import { CADDY, NGINX, TRAEFIK } from './support/proxies.ts'

const RULES = `version: 1
preset: home-assistant
rules:
  - {name: no states, path: [/api/states, /api/states/*], access: deny}
`

/** Part of the answer with all states, which no client may get here. */
const STATES = /"entity_id"/
const isOurs = ({ headers }: Received): boolean => headers['x-certlatch'] !== undefined

for (const kind of [TRAEFIK, CADDY, NGINX]) {
  const skip = homeAssistantMissing()
  describe(`Home Assistant behind ${kind.dialect}, with rules`, { skip, timeout: 300_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'certlatch-rules-'))
    let household: Household
    let person: Person
    let device: HouseholdDevice
    let bearer: HeaderLine

    before(async () => {
      const policy = join(folder, 'policy.yaml')
      writeFileSync(policy, RULES)
      household = await startHousehold(kind, { settings: { CERTLATCH_POLICY_FILE: policy } })
      person = await household.homeAssistant.onboard()
      device = await household.addDevice("Ada's phone")
      bearer = ['Authorization', `Bearer ${person.accessToken}`]
    })
    after(async () => {
      await household?.close()
      rmSync(folder, { recursive: true })
    })

    /** With a login of Home Assistant, so that the gate alone can say no. */
    const ask = (path: string, credential?: HouseholdDevice): Promise<Received> =>
      send(household.target, { path, headers: [bearer], credential })

    test('the phone app registers with its certificate, and reports without one', async () => {
      const refused = await send(household.target, registration(bearer))
      assert.equal(refused.status, 403)
      const registered = await send(household.target, {
        ...registration(bearer),
        credential: device,
      })
      assert.equal(registered.status, 201)
      const { webhook_id: id } = JSON.parse(registered.body) as { readonly webhook_id: string }
      const report = { type: 'get_config' }
      const answer = await send(household.target, {
        method: 'POST',
        path: `/api/webhook/${id}`,
        headers: [['Content-Type', 'application/json']],
        body: Buffer.from(JSON.stringify(report)),
      })
      assert.equal(answer.status, 200)
      assert.equal(JSON.parse(answer.body).location_name, 'Home')
      assert.equal(answer.headers['set-cookie'], undefined)
    })

    test("an automation's webhook is called without a certificate, even if letters are encoded", async () => {
      const state = async () =>
        (
          (await household.homeAssistant.ask(`/api/states/${DOORBELL}`, person)) as {
            readonly state: string
          }
        ).state
      assert.equal(await state(), 'off')
      const path = `/api/%77ebhook/${WEBHOOK_ID.replace('b', '%62')}`
      const { status } = await send(household.target, { method: 'POST', path })
      assert.equal(status, 200)
      assert.equal(await state(), 'on')
    })

    test('a rule applies to every spelling that Home Assistant understands', async () => {
      // Its router decodes: without the rule this would be an answer.
      assert.equal((await ask('/api/%63onfig', device)).status, 200)
      const targets = [
        ...spelled('api/states'),
        ...spelled(`api/states/${DOORBELL}`),
        ...climbing('api/webhook', 'states'),
        ...climbing('api/webhook', '../api/states'),
      ]
      for (const target of targets) {
        const answer = await ask(target, device).catch(() => undefined)
        assert.doesNotMatch(answer?.body ?? '', STATES, target)
      }
    })

    test('without a certificate no way of writing a path leads out of the webhooks', async () => {
      const targets = ['states', 'config', '../auth/providers', '../manifest.json']
      let refused = 0
      for (const target of targets.flatMap((place) => climbing('api/webhook', place))) {
        const answer = await ask(target).catch(() => undefined)
        if (answer === undefined) continue
        if (isOurs(answer)) refused += 1
        // Traefik clears up first, and so some are ids of webhooks: to those that it does not know
        // Home Assistant says nothing, with 200.
        const isNothing = isOurs(answer) || answer.status >= 400 || answer.body === ''
        assert.ok(isNothing, `${target}: ${answer.status}`)
      }
      assert.ok(refused > 40, `${refused} refused`)
    })

    test('the media browser, with its encoded slashes, works with the certificate', async () => {
      const path = '/media-browser/browser/app%2Cmedia-source%3A%2F%2Fmedia_source'
      const { status, body } = await ask(path, device)
      assert.equal(status, 200)
      assert.match(body, /<home-assistant>/)
    })
  })
}
