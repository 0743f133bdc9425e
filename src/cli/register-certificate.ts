import { usageError } from '../administration/command-error.ts'
import type { NewDevice } from '../administration/find-device.ts'
import { registerCertificate } from '../administration/register-certificate.ts'
import type { Config } from '../config/config.ts'
import type { ExitCode, Invocation } from './command.ts'
import { changeOf } from './command-context.ts'
import { confirmDevice } from './confirmation.ts'
import { day, jsonOf } from './format.ts'
import { ISSUE_OPTIONS } from './issue-options.ts'

/** Registers an existing certificate, for a new device or as another one of a known device. */
export async function register(
  invocation: Invocation,
  config: Config,
  device: NewDevice,
  path: string,
  kind: 'new' | 'another',
): Promise<ExitCode> {
  const { flags, terminal } = invocation
  for (const flag of [...Object.keys(ISSUE_OPTIONS), 'overlap']) {
    if (flags[flag] === undefined || flag === 'json' || flag === 'certificate') continue
    throw usageError(`--${flag} does not go with --certificate: no certificate is issued`)
  }
  const entered = await registerCertificate(changeOf(invocation, config), device, kind, path)
  if (flags['json'] === true) {
    terminal.print(jsonOf({ device: entered }))
  } else {
    const end = entered.certificates.at(-1)?.notAfter ?? 0
    terminal.print(`"${entered.name}" has access until ${day(end)}`)
  }
  await confirmDevice(invocation, config)
  return 0
}
