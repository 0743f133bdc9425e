import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { contextTag } from '../../src/certificate/der.ts'
import {
  writeBitString,
  writeElement,
  writeInteger,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSet,
  writeSmallInteger,
  writeTime,
  writeUtf8String,
} from '../../src/certificate/der-writer.ts'
import { writePem } from '../../src/certificate/pem.ts'

/** PEM of a throw-away TLS server certificate and its key. */
export interface ServerCertificate {
  readonly certificate: string
  readonly key: string
}

/** Self-signed, for `host` and 127.0.0.1, good for a week: for trying and for tests only. */
export function makeServerCertificate(host: string, nowSeconds: number): ServerCertificate {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const algorithm = writeSequence(writeObjectIdentifier('1.2.840.10045.4.3.2'))
  const name = writeSequence(
    writeSet(writeSequence(writeObjectIdentifier('2.5.4.3'), writeUtf8String(host))),
  )
  const names = writeSequence(
    writeElement(contextTag(2, false), Buffer.from(host, 'latin1')),
    writeElement(contextTag(7, false), Buffer.from([127, 0, 0, 1])),
  )
  const subjectAltName = writeSequence(writeObjectIdentifier('2.5.29.17'), writeOctetString(names))
  const tbs = writeSequence(
    writeElement(contextTag(0, true), writeSmallInteger(2)),
    writeInteger(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    algorithm,
    name,
    writeSequence(writeTime(nowSeconds - 3600), writeTime(nowSeconds + 7 * 86_400)),
    name,
    publicKeyInfo(privateKey),
    writeElement(contextTag(3, true), writeSequence(subjectAltName)),
  )
  const der = writeSequence(tbs, algorithm, writeBitString(sign('sha256', tbs, privateKey)))
  return {
    certificate: writePem('CERTIFICATE', der),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

const publicKeyInfo = (privateKey: KeyObject): Buffer =>
  createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
