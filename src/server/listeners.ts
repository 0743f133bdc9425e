import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ListenAddress } from '../config/config.ts'
import { errorCode } from '../store/files.ts'
import { listen } from './lifecycle.ts'
import { StartError } from './start-error.ts'

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another process: stop that one, or choose another port',
  EACCES: 'may not be opened by this user: choose a port above 1023',
  EADDRNOTAVAIL: 'is not an address of this machine',
}

/** Opens what a setting names; throws a StartError that says what is wrong with it. */
export async function listenOn(
  server: Server,
  setting: 'CERTLATCH_LISTEN' | 'CERTLATCH_ADMIN_LISTEN' | 'CERTLATCH_PAGES_LISTEN',
  { host, port }: ListenAddress,
): Promise<AddressInfo> {
  try {
    return await listen(server, host, port)
  } catch (error) {
    const code = errorCode(error) ?? String(error)
    const shown = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    throw new StartError([`${setting} ${shown} ${LISTEN_ERRORS[code] ?? `fails (${code})`}`])
  }
}

export const describeAddress = ({ address, port, family }: AddressInfo): string =>
  family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
