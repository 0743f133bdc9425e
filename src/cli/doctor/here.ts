import { describeName } from '../../certificate/name.ts'
import type { Config } from '../../config/config.ts'
import type { Here } from '../../doctor/facts.ts'
import { adviceOf } from '../../explain/explanation.ts'
import { explainRequest } from '../../explain/judgement.ts'
import { dataPaths } from '../../store/data-directory.ts'
import { readRunning } from '../../store/service-state-files.ts'
import { askStatus, type Obstacle } from '../admin-listener.ts'
import { currentGrounds } from '../current-grounds.ts'
import { packageVersion } from '../version.ts'

const TIMEOUT_MILLISECONDS = 2_000

/**
 * Reads what certlatch's files and its service report. `door` is the host and the certificate that
 * requests are explained for. Throws a `CommandError` if the files cannot be read.
 */
export async function readHere(
  config: Config,
  door: { readonly authority: string; readonly certificate: Buffer },
  nowSeconds: () => number,
): Promise<Here> {
  const { snapshot, grounds } = await currentGrounds(config)
  const running = await readRunning(dataPaths(config.dataDir).running).catch(() => [])
  return {
    config,
    policy: snapshot.policy,
    authorities: snapshot.trust.issuers.map(({ certificate: { subject } }) => ({
      name: describeName(subject),
      comparable: subject.comparable,
    })),
    keySet: snapshot.keyRing.fingerprint,
    version: packageVersion(),
    ...(await askService(config)),
    running,
    explain: ({ method, path, shown }) => {
      const certificate = shown === 'certificate' ? door.certificate : undefined
      const explanation = explainRequest(
        {
          ...{ url: `https://${door.authority}${path}`, method, certificate },
          ...{ from: undefined, cookie: undefined, origin: undefined },
        },
        certificate && { name: 'the certificate', certificate },
        config,
        grounds,
        nowSeconds(),
      )
      const { decision, rule } = explanation
      return {
        allow: decision.allow,
        reason: decision.allow ? undefined : decision.reason,
        rule: rule?.name ?? 'none',
        advice: adviceOf(decision),
      }
    },
  }
}

/** A service that does not run is a finding, not an error. */
async function askService(config: Config): Promise<Pick<Here, 'service' | 'serviceProblem'>> {
  const asked = await askStatus(config, TIMEOUT_MILLISECONDS)
  return asked.ok
    ? { service: asked.status, serviceProblem: undefined }
    : { service: undefined, serviceProblem: inOneLine(asked) }
}

const inOneLine = ({ problem, hint }: Obstacle): string => `${problem}; ${hint}`
