import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeUserAgent, platformOf } from '../../src/enrollment/user-agent.ts'

const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)'
const ANDROID = 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)'

const CASES = [
  [`${IPHONE} Version/26.1 Mobile/15E148 Safari/604.1`, 'iPhone, Safari', 'iphone'],
  [`${IPHONE} CriOS/142.0 Mobile/15E148 Safari/604.1`, 'iPhone, Chrome', 'iphone'],
  [
    `${IPHONE} Home Assistant/2026.4 (io.robbie.HomeAssistant)`,
    "iPhone, Home Assistant's app",
    'iphone',
  ],
  [`${IPHONE} Mobile/15E148`, 'iPhone', 'iphone'],
  [`${ANDROID} Chrome/142.0.0.0 Mobile Safari/537.36`, 'Android, Chrome', 'android'],
  [
    `${ANDROID} SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36`,
    'Android, Samsung Internet',
    'android',
  ],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0',
    'Windows, Edge',
    'windows',
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/26.1 Safari/605.1.15',
    'Mac, Safari',
    'mac',
  ],
  [
    'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
    'Linux, Firefox',
    'linux',
  ],
  ['Mozilla/5.0 (X11; CrOS x86_64) Chrome/142.0.0.0 Safari/537.36', 'ChromeOS, Chrome', undefined],
  ['curl/8.14.1', 'an unknown browser', undefined],
  [undefined, 'an unknown browser', undefined],
] as const

for (const [userAgent, said, platform] of CASES) {
  test(`${userAgent} is called ${said}`, () => {
    assert.equal(describeUserAgent(userAgent), said)
    assert.equal(platformOf(userAgent), platform)
  })
}
