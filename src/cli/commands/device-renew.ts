import { renewDevice } from '../../administration/renew-device.ts'
import { durationFlag, onlyName } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { handOut, ISSUE_HELP, ISSUE_OPTIONS, issueOptionsOf, placeOf } from '../issuing.ts'
import { authorityPassphrase, changeOf, ownSettingsOf } from '../own-authority.ts'
import { moment } from '../words.ts'

const OVERLAP_SECONDS = 14 * 86_400

const HELP = `Usage: certlatch device renew NAME [options]

Makes a new certificate for a device that stays the same: name, owner and history. The old certificate
goes on for a while, so that nothing has to happen at once; certlatch device revoke NAME --replaced
ends it earlier.

Options:
      --overlap T    how long the old certificate goes on: 14d by default; 0 ends it now
${ISSUE_HELP}
      --csr FILE     sign this request instead: the key never leaves the device
      --json         print the result as JSON

Example:
  $ certlatch device renew "Ada's phone" --overlap 7d`

export const deviceRenew: Command = {
  help: () => HELP,
  options: { ...ISSUE_OPTIONS, overlap: { type: 'string' }, csr: { type: 'string' } },
  takesPositionals: true,
  run: runDeviceRenew,
}

async function runDeviceRenew(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'renew them there')
  const name = onlyName(invocation, 'certlatch device renew "Ada\'s phone"')
  const overlapSeconds = durationFlag(invocation, 'overlap', '400d', OVERLAP_SECONDS)
  const place = await placeOf(invocation, config)
  const options = await issueOptionsOf(invocation, place)
  const renewed = await renewDevice(
    changeOf(invocation, config, 'device renew'),
    name,
    options,
    overlapSeconds,
    await authorityPassphrase(invocation, config),
    place.handOut,
  )
  handOut(invocation, renewed, place)
  const { othersEndAt } = renewed
  if (othersEndAt !== undefined) {
    invocation.terminal.tell(
      overlapSeconds === 0
        ? 'the certificate before has ended'
        : `the certificate before goes on until ${moment(othersEndAt)}; delete it from the device, some browsers go on using it`,
    )
  }
  return 0
}
