import { createPrivateKey, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { claimInvitation, openTicket } from '../../../src/administration/claim-invitation.ts'
import { inviteDevice } from '../../../src/administration/invite-device.ts'
import { initialized } from '../../support/command.ts'
import { NOON_SECONDS } from '../../support/service.ts'
import { ask, FRIENDLY_NAME, type Leaf, type Package } from './packages.ts'

/** What a device downloads once it has claimed its invitation. */
export interface InvitedPackages {
  readonly packages: readonly Package[]
  /** Holds the package and its password. */
  readonly profileFile: string
}

/** Invites a device, claims the invitation, and writes its downloads to the folder. */
export async function claimPackages(folder: string): Promise<InvitedPackages> {
  const { dataDir, change } = await initialized()
  const { code } = await inviteDevice(
    change(),
    { name: FRIENDLY_NAME, owner: undefined },
    {
      ...{ days: 397, key: 'rsa2048', validSeconds: 86_400, site: 'https://ha.test' },
      overlapSeconds: undefined,
    },
  )
  const place = {
    ...{ dataDir, revocationList: undefined, host: 'ha.test', nowSeconds: NOON_SECONDS },
    exists: () => Promise.resolve(true),
    isAcceptable: () => Promise.resolve(true),
  }
  const onUnmarked = (error: unknown) => {
    throw error
  }
  const claimed = await claimInvitation(place, code, { nonce: 'one', by: 'a test', onUnmarked })
  const held = claimed.ok ? await openTicket(place, claimed.ticket) : undefined
  if (held === undefined) throw new Error('the invitation could not be claimed')
  const { password, p12, modernP12, mobileconfig } = held.packages
  const write = (name: string, bytes: Buffer | string): string => {
    const file = join(folder, `invited${name}`)
    writeFileSync(file, bytes)
    return file
  }
  const files = { compat: write('.p12', p12), modern: write('-modern.p12', modernP12) }
  const leaf = leafOf(files.modern, password, write)
  const shared = { ...leaf, password, passwordKind: 'generated' } as const
  return {
    packages: [
      {
        ...{ ...shared, form: 'compat', bytes: p12, file: files.compat },
        name: 'of an invitation, compat',
      },
      {
        ...{ ...shared, form: 'modern', bytes: modernP12, file: files.modern },
        name: 'of an invitation, modern',
      },
    ],
    profileFile: write('.mobileconfig', mobileconfig),
  }
}

/** What OpenSSL finds in a package: the key was made for the device, and is nowhere else. */
function leafOf(
  file: string,
  password: string,
  write: (name: string, bytes: Buffer | string) => string,
): Leaf {
  const { text } = ask('openssl', 'pkcs12', '-in', file, '-passin', `pass:${password}`, '-nodes')
  const [pem = ''] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? []
  const [key = ''] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text) ?? []
  const certificate = new X509Certificate(pem)
  const privateKey = createPrivateKey(key)
  if (!certificate.checkPrivateKey(privateKey)) throw new Error('the key is of another certificate')
  return {
    certificate: certificate.raw,
    privateKey,
    derFile: write('.der', certificate.raw),
    pemFile: write('.pem', pem),
  }
}
