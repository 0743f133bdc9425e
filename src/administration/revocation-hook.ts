import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface RevokedFacts {
  readonly device: string
  readonly serial: string
  readonly reason: string
}

const TIMEOUT_MILLISECONDS = 30_000

/**
 * Runs the program of CERTLATCH_ON_REVOKE, without a shell, with nothing in its environment but PATH
 * and what was revoked. Its output is passed on. Returns what went wrong, in words that follow its
 * name; `undefined` if nothing did.
 */
export async function runHook(
  [program = '', ...args]: readonly string[],
  { device, serial, reason }: RevokedFacts,
  path: string | undefined,
  timeoutMilliseconds = TIMEOUT_MILLISECONDS,
): Promise<string | undefined> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...(path !== undefined && { PATH: path }),
      CERTLATCH_REVOKED_DEVICE: device,
      CERTLATCH_REVOKED_SERIAL: serial,
      CERTLATCH_REVOKED_REASON: reason,
    },
  })
  // Not spawn's own timeout, which would keep the command running if the program does not exist.
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMilliseconds)
  try {
    const [exitCode, signal] = await once(child, 'exit')
    if (exitCode === 0) return undefined
    return signal === null
      ? `ended with exit code ${exitCode}`
      : `was ended by ${signal}, after ${timeoutMilliseconds / 1000} seconds at most`
  } catch (error) {
    return `could not be started (${(error as NodeJS.ErrnoException).code})`
  } finally {
    clearTimeout(timer)
  }
}
