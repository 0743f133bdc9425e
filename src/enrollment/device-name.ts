export const deviceNameProblem = (n: string): string | undefined =>
  n === '' ? 'is empty' : undefined
export const normalizeName = (n: string): string => n.normalize('NFC').trim().replace(/\s+/g, ' ')
