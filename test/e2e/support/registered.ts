import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readCertificate } from '../../../src/certificate/certificate.ts'
import { issueCertificate, publicKeyInfoOf } from '../../../src/certificate/issue.ts'
import { readPemBlocks, writePem } from '../../../src/certificate/pem.ts'
import { readIssuer } from '../../../src/certificate/verify.ts'
import { dataPaths } from '../../../src/store/data-directory.ts'
import { writeDevice } from '../../../src/store/device-registry.ts'
import { dataFolder } from './certlatch.ts'
import type { Credential } from './pki.ts'

const DAY = 86_400
const nowSeconds = () => Math.floor(Date.now() / 1000)

/** The CA that the service has made. */
function ownAuthority({ authority, authorityKey }: ReturnType<typeof dataPaths>) {
  const [der] = readPemBlocks(readFileSync(authority, 'latin1'), 'CERTIFICATE') ?? []
  const read = der && readIssuer(der)
  assert.ok(read?.ok)
  const privateKey = createPrivateKey(readFileSync(authorityKey))
  return { certificate: read.issuer.certificate, keyHash: read.issuer.keyHash, privateKey }
}

/**
 * Issues a certificate of any dates, which no command would. With a name, the device is entered in the
 * registry.
 */
export async function issueUntil(
  folder: string,
  notAfter: number,
  name?: string,
): Promise<Credential> {
  const paths = dataPaths(dataFolder(folder))
  const authority = ownAuthority(paths)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const notBefore = nowSeconds() - 30 * DAY
  const serial = randomBytes(16)
  const der = issueCertificate(
    {
      commonName: name ?? 'Unknown',
      publicKeyInfo: publicKeyInfoOf(privateKey),
      serial,
      uri: 'urn:uuid:5c0aeb0c-9d1f-4a28-a0a5-6b1a2a0f6a11',
      notBefore,
      notAfter,
    },
    authority,
  )
  const certificate = readCertificate(der)
  assert.ok(certificate)
  if (name !== undefined) {
    const entry = { issuerKeyHash: authority.keyHash, serial: certificate.serial }
    await writeDevice(paths.devices, randomBytes(8).toString('hex'), {
      name,
      owner: undefined,
      certificates: [{ ...entry, notBefore, notAfter }],
    })
  }
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { certificate: writePem('CERTIFICATE', der), key }
}
