/** The platforms that the enrollment page has steps for. */
export type Platform = 'iphone' | 'android' | 'mac' | 'windows' | 'linux'

/** In order of precedence: most user agents name several. */
const SYSTEMS: readonly (readonly [RegExp, string, Platform | undefined])[] = [
  [/\biPhone\b/, 'iPhone', 'iphone'],
  [/\biPad\b/, 'iPad', 'iphone'],
  [/\bAndroid\b/, 'Android', 'android'],
  [/\bWindows NT\b/, 'Windows', 'windows'],
  [/\bCrOS\b/, 'ChromeOS', undefined],
  [/\bMacintosh\b/, 'Mac', 'mac'],
  [/\bLinux\b/, 'Linux', 'linux'],
]

const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bHome ?Assistant\//, "Home Assistant's app"],
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:OPR|OPT)\//, 'Opera'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bVersion\/\S+.*\bSafari\//, 'Safari'],
]

/** What follows adds nothing, and takes time to search. */
const MAX_READ_LENGTH = 512

/** Describes the browser for people: `iPhone, Safari`. Clients can claim anything here. */
export function describeUserAgent(userAgent: string | undefined): string {
  const text = (userAgent ?? '').slice(0, MAX_READ_LENGTH)
  const system = SYSTEMS.find(([pattern]) => pattern.test(text))?.[1]
  const browser = BROWSERS.find(([pattern]) => pattern.test(text))?.[1]
  const named = [system, browser].filter((part) => part !== undefined)
  return named.length === 0 ? 'an unknown browser' : named.join(', ')
}

/** The most likely platform; an iPad may claim to be a Mac. */
export function platformOf(userAgent: string | undefined): Platform | undefined {
  const text = (userAgent ?? '').slice(0, MAX_READ_LENGTH)
  return SYSTEMS.find(([pattern]) => pattern.test(text))?.[2]
}
