/** Which steps a device is shown first. */
const PLATFORMS = ['iphone', 'android', 'mac', 'windows', 'linux'] as const
export type Platform = (typeof PLATFORMS)[number]

/** In the order in which they are looked for: most of them name others too. */
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

/** More says nothing new, and costs the pattern time. */
const MOST_READ = 512

/** The browser as a person would call it: `iPhone, Safari`. Its own claim, so a hint and no proof. */
export function describeUserAgent(userAgent: string | undefined): string {
  const text = (userAgent ?? '').slice(0, MOST_READ)
  const system = SYSTEMS.find(([pattern]) => pattern.test(text))?.[1]
  const browser = BROWSERS.find(([pattern]) => pattern.test(text))?.[1]
  const named = [system, browser].filter((part) => part !== undefined)
  return named.length === 0 ? 'an unknown browser' : named.join(', ')
}

/** The platform that it most likely is; an iPad says that it is a Mac. */
export function platformOf(userAgent: string | undefined): Platform | undefined {
  const text = (userAgent ?? '').slice(0, MOST_READ)
  return SYSTEMS.find(([pattern]) => pattern.test(text))?.[2]
}
