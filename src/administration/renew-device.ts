import { endTimeOf, isStillValid, withEnd } from '../store/device-registry.ts'
import type { Added } from './add-device.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { findDevice, requireNotRevoked } from './find-device.ts'
import { type IssueOptions, issueFor } from './issue-certificate.ts'
import { deliver } from './pending-delivery.ts'
import { allWithoutInvited, endOpenInvitation } from './settle-invitations.ts'

/** A new certificate, and until when the previous ones are accepted. */
export interface Renewed extends Added {
  /** Unix seconds; `undefined` if no other one was still valid. */
  readonly othersEndAt: number | undefined
  /** Whether an invitation of the device was open, which the renewal has ended. */
  readonly hasEndedInvitation: boolean
}

/**
 * Issues a new certificate for an existing device; its other certificates are accepted for
 * `overlapSeconds` more. Ends an invitation that the device has not collected yet.
 */
export async function renewDevice(
  change: Change,
  name: string,
  options: IssueOptions,
  overlapSeconds: number,
): Promise<Renewed> {
  const { nowSeconds } = change
  return changeDirectory(change, async (directory) => {
    const known = await directory.readDevices()
    const before = findDevice(allWithoutInvited(known), name)
    requireNotRevoked(before, 'add')
    const issued = await issueFor(directory, before, options)
    // Collected later, its certificate would end the one that is issued here.
    const hasEndedInvitation = await endOpenInvitation(directory, known, before)
    const both = { ...before, certificates: [...before.certificates, issued.entry] }
    await deliver(directory, { ...issued, before, after: both })
    // Only after the new one is handed out, so that a killed command does not end the old one.
    const endsAt = nowSeconds + overlapSeconds
    const others = before.certificates.map((other) =>
      isStillValid(other, nowSeconds) ? withEnd(other, endsAt) : other,
    )
    const device = { ...before, certificates: [...others, issued.entry] }
    await directory.writeDevice(device)
    const ends = others.filter((other) => isStillValid(other, nowSeconds)).map(endTimeOf)
    return {
      ...issued,
      device,
      before,
      hasEndedInvitation,
      othersEndAt:
        others.length > 0 && (ends.length > 0 || overlapSeconds === 0)
          ? Math.max(nowSeconds, ...ends)
          : undefined,
    }
  })
}
