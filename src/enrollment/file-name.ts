export const packageFileName = (n: string, s: string, e: string): string =>
  `${n.replace(/\W+/g, '-').toLowerCase()}-${s.slice(0, 8)}.${e}`
