import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readCertificate } from '../../src/certificate/certificate.ts'
import {
  BACKDATE_SECONDS,
  issueCertificate,
  issueRevocationList,
  publicKeyInfoOf,
  type SigningAuthority,
} from '../../src/certificate/issue.ts'
import { readPemBlocks, writePem } from '../../src/certificate/pem.ts'
import { readIssuer } from '../../src/certificate/verify.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { writeDevice } from '../../src/store/device-registry.ts'
import { MODE, replaceFile } from '../../src/store/files.ts'

/** A device that was added to a data directory; PEM. */
export interface AddedDevice {
  readonly certificate: string
  readonly key: string
  readonly serial: string
}

/** Makes a certificate from the directory's CA and enters it into the registry. */
export async function addDevice(
  dataDir: string,
  name: string,
  owner: string | undefined,
  nowSeconds: number,
): Promise<AddedDevice> {
  const paths = dataPaths(dataDir)
  const authority = await readAuthority(dataDir)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const id = randomBytes(16).toString('hex')
  const validity = {
    notBefore: nowSeconds - BACKDATE_SECONDS,
    notAfter: nowSeconds + 397 * 86_400,
  }
  const der = issueCertificate(
    {
      ...validity,
      commonName: name,
      publicKeyInfo: publicKeyInfoOf(privateKey),
      serial: randomBytes(16),
      uri: `urn:certlatch:device:${id}`,
    },
    authority,
  )
  const issuer = readIssuer(authority.certificate.der)
  const serial = readCertificate(der)?.serial
  if (!issuer.ok || serial === undefined) throw new Error('the CA cannot issue')
  const certificate = { issuerKeyHash: issuer.issuer.keyHash, serial, ...validity }
  await writeDevice(paths.devices, id, { name, owner, certificates: [certificate] })
  return {
    certificate: writePem('CERTIFICATE', der),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    serial,
  }
}

/** Writes a CRL with these serial numbers; answers its number. */
export async function revoke(
  dataDir: string,
  serials: readonly string[],
  nowSeconds: number,
): Promise<string> {
  const authority = await readAuthority(dataDir)
  // Above the number of the first start, also within the same second.
  const number = nowSeconds + 60
  const list = issueRevocationList(
    {
      number,
      thisUpdate: nowSeconds,
      nextUpdate: authority.certificate.notAfter,
      revoked: serials.map((serial) => ({ serial, revokedAt: nowSeconds })),
    },
    authority,
  )
  const path = dataPaths(dataDir).revocationList
  await replaceFile(path, writePem('X509 CRL', list), MODE.public)
  return String(number)
}

async function readAuthority(dataDir: string): Promise<SigningAuthority> {
  const paths = dataPaths(dataDir)
  const pem = await readFile(paths.authority, 'latin1')
  const [der] = readPemBlocks(pem, 'CERTIFICATE') ?? []
  const certificate = der && readCertificate(der)
  if (certificate === undefined) throw new Error(`${join(dataDir, 'public')} holds no CA`)
  return { certificate, privateKey: createPrivateKey(await readFile(paths.authorityKey)) }
}
