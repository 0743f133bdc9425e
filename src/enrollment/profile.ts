export const writeProfile = (_: {
  deviceName: string
  deviceId: string
  organization: string
  fileName: string
  pkcs12: Buffer
  authorities: readonly Buffer[]
}): string => 'profile'
