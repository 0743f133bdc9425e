import type { KeyObject } from 'node:crypto'
export type Pkcs12Form = 'compat' | 'modern'
export const writePkcs12 = (
  _: {
    form: Pkcs12Form
    friendlyName: string
    password: string
    certificate: Buffer
    privateKey: KeyObject
    authorities: readonly Buffer[]
  },
  _r: (size: number) => Buffer,
): Buffer => Buffer.from('p12')
