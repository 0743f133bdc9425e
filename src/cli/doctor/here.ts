import { describeName } from '../../certificate/name.ts'
import type { Config } from '../../config/config.ts'
import type { Here, ServiceStatus } from '../../doctor/facts.ts'
import { adviceOf } from '../../explain/explanation.ts'
import { explainRequest } from '../../explain/judgement.ts'
import { dataPaths } from '../../store/data-directory.ts'
import { readRunning } from '../../store/service-state-files.ts'
import { askAdminListener, type Obstacle, unexpectedStatus } from '../admin-listener.ts'
import { currentGrounds } from '../current-grounds.ts'
import { packageVersion } from '../version.ts'

const TIMEOUT_MILLISECONDS = 2_000

/**
 * What certlatch's files and its service say. `door` is the host and the certificate that requests
 * are explained for. Throws an CommandError if the files cannot be read.
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
      const told = explainRequest(
        {
          ...{ url: `https://${door.authority}${path}`, method, certificate },
          ...{ from: undefined, cookie: undefined, origin: undefined },
        },
        certificate && { name: 'the certificate', certificate },
        config,
        grounds,
        nowSeconds(),
      )
      const { decision, rule } = told
      return {
        allow: decision.allow,
        reason: decision.allow ? undefined : decision.reason,
        rule: rule?.name ?? 'none',
        advice: adviceOf(decision),
      }
    },
  }
}

/** A service that does not run is a finding, and no error. */
async function askService({
  adminListen,
  metricsToken,
}: Config): Promise<Pick<Here, 'service' | 'serviceProblem'>> {
  const page = { path: '/status', token: metricsToken } as const
  const asked = await askAdminListener(adminListen, page, TIMEOUT_MILLISECONDS)
  if (!asked.ok) return { service: undefined, serviceProblem: inOneLine(asked) }
  const service = asked.status === 200 ? readStatus(asked.body) : undefined
  if (service !== undefined) return { service, serviceProblem: undefined }
  const serviceProblem = inOneLine(unexpectedStatus(asked.place, asked.status))
  return { service: undefined, serviceProblem }
}

const inOneLine = ({ problem, hint }: Obstacle): string => `${problem}; ${hint}`

function readStatus(body: string): ServiceStatus | undefined {
  try {
    const value = JSON.parse(body)
    return value?.schemaVersion === 1 ? value : undefined
  } catch {
    return undefined
  }
}
