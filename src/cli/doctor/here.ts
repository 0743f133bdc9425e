import { setTimeout as sleep } from 'node:timers/promises'
import { describeName } from '../../certificate/name.ts'
import type { Config } from '../../config/config.ts'
import type { Here } from '../../doctor/facts.ts'
import { adviceOf } from '../../explain/explanation.ts'
import { explainRequest } from '../../explain/judgment.ts'
import { dataPaths } from '../../store/data-directory.ts'
import { readRunning } from '../../store/service-state-files.ts'
import { askStatus } from '../admin-listener.ts'
import { currentGrounds } from '../current-grounds.ts'
import { packageVersion } from '../version.ts'

const TIMEOUT_MILLISECONDS = 2_000

/**
 * Reads what certlatch's files and its service report. `target` is the host and the certificate that
 * requests are explained for. Throws a `CommandError` if the files cannot be read.
 */
export async function readHere(
  config: Config,
  target: { readonly authority: string; readonly certificate: Buffer },
  nowSeconds: () => number,
): Promise<Here> {
  const { read, running, asked } = await readWhenAgreed(config)
  const { snapshot, grounds } = read
  const explain = (method: string, path: string, certificate?: Buffer) =>
    explainRequest(
      {
        ...{ url: `https://${target.authority}${path}`, method, certificate },
        ...{ from: undefined, cookie: undefined, origin: undefined },
      },
      certificate && { name: 'the certificate', certificate },
      config,
      grounds,
      nowSeconds(),
    )
  return {
    config,
    policy: snapshot.policy,
    authorities: snapshot.trust.issuers.map(({ certificate: { subject } }) => ({
      name: describeName(subject),
      comparable: subject.comparable,
    })),
    keySet: snapshot.keyRing.fingerprint,
    version: packageVersion(),
    ...asked,
    running,
    isOpen: (method, path) => explain(method, path).decision.allow,
    certificateDenial: () => {
      const { decision } = explain('GET', '/', target.certificate)
      if (decision.allow) return undefined
      const rule = decision.rule?.name ?? 'none'
      return { reason: decision.reason, rule, advice: adviceOf(decision) }
    },
  }
}

const AGREED_WITHIN_MILLISECONDS = 2_000
const POLL_MILLISECONDS = 200

/** Reads files and services; tries again if their keys differ, because a service may not have reloaded yet. */
async function readWhenAgreed(config: Config) {
  const until = performance.now() + AGREED_WITHIN_MILLISECONDS
  for (;;) {
    const read = await currentGrounds(config)
    const running = await readRunning(dataPaths(config.dataDir).running).catch(() => [])
    const asked = await askService(config)
    const keySets = [
      read.snapshot.keyRing.fingerprint,
      ...(asked.service === undefined ? [] : [asked.service.keySet]),
      ...running.filter(({ isFresh }) => isFresh).map(({ state }) => state.keySet),
    ]
    if (new Set(keySets).size === 1 || performance.now() > until) return { read, running, asked }
    await sleep(POLL_MILLISECONDS)
  }
}

/** A service that does not run is a finding, not an error. */
async function askService(config: Config): Promise<Pick<Here, 'service' | 'serviceProblem'>> {
  const asked = await askStatus(config, TIMEOUT_MILLISECONDS)
  return asked.ok
    ? { service: asked.status, serviceProblem: undefined }
    : { service: undefined, serviceProblem: asked }
}
