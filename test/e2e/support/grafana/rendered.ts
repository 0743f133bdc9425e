import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type Browser, chromium } from 'playwright-core'
import { findProgram, programsMissing, repositoryFolder, toolsFolder } from '../tools.ts'

const packages = (): string => join(toolsFolder(), 'grafana/node_modules')

/** What is missing to draw the dashboard, as a reason to skip a test. */
export const grafanaMissing = (): string | false =>
  existsSync(join(packages(), '@grafana/ui'))
    ? programsMissing('chromium')
    : "Grafana's components are missing: run test/e2e/tools.sh"

export interface Variant {
  readonly width: number
  readonly theme: 'light' | 'dark'
}

/** The seconds, in Unix time, that the dashboard shows. */
export interface Shown {
  readonly from: number
  readonly to: number
}

/** What the page reports once everything is drawn. */
export interface Drawn {
  readonly failed?: string
  /** How many annotations there are, by name. */
  readonly events: readonly { readonly name: string; readonly count: number }[]
  readonly errors: readonly (readonly [title: string, error: string])[]
  /** Titles of the panels whose queries have no data. */
  readonly empty: readonly string[]
  readonly cut: readonly Cut[]
  /** What the browser's console has of errors. */
  readonly complaints: readonly string[]
  /** All text of each panel, by title. */
  readonly texts: Readonly<Record<string, string>>
}

/** Text that is not shown whole. */
export interface Cut {
  readonly panel: string
  readonly text: string
  /** `scrolled`: the rest can be scrolled to. */
  readonly by: 'width' | 'height' | 'scrolled'
}

export interface Grafana {
  /** Draws a dashboard, and keeps a picture of it under this name. */
  draw(dashboard: string, name: string, variant: Variant, shown: Shown): Promise<Drawn>
  close(): Promise<void>
}

/** Where pictures are kept after the run. */
const pictures = (): string =>
  process.env['CERTLATCH_E2E_PICTURES'] ?? join(repositoryFolder(), 'test/e2e/.pictures')

/** Grafana's own components, with a Prometheus behind them that is scraped this often. */
export async function startGrafana(prometheus: string, scrapeSeconds: number): Promise<Grafana> {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-grafana-'))
  bundle(folder)
  let dashboard = ''
  const server = createServer((request, response) => {
    serve({ folder, prometheus, dashboard }, request, response).catch((error) => {
      response.writeHead(500).end(String(error))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const browser = await chromium.launch({
    executablePath: findProgram('chromium'),
    args: ['--no-sandbox', '--disable-gpu'],
  })
  return {
    draw: async (text, name, { width, theme }, { from, to }) => {
      dashboard = text
      const parameters = new URLSearchParams({
        theme,
        from: `${from * 1000}`,
        to: `${to * 1000}`,
        scrape: `${scrapeSeconds}`,
      })
      const address = `http://127.0.0.1:${port}/?${parameters}`
      const drawn = await draw(browser, address, width, name)
      // Chromium drops its connections when a network comes or goes, such as one of Docker's.
      const isDropped = drawn.complaints.some((it) => it.includes('ERR_NETWORK_CHANGED'))
      return isDropped ? draw(browser, address, width, name) : drawn
    },
    close: async () => {
      await browser.close()
      server.close()
      server.closeAllConnections()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function bundle(folder: string): void {
  const page = join(repositoryFolder(), 'test/e2e/support/grafana/page.jsx')
  const options = [
    ...['--bundle', '--jsx=automatic', '--minify', '--log-level=warning'],
    ...['--loader:.svg=dataurl', '--loader:.ttf=empty'],
    '--define:process.env.NODE_ENV="production"',
    `--outfile=${join(folder, 'page.js')}`,
  ]
  execFileSync(process.execPath, [join(packages(), 'esbuild/bin/esbuild'), page, ...options], {
    env: { ...process.env, NODE_PATH: packages() },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

const PAGE = `<!doctype html><meta charset="utf-8"><title>Dashboard</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css"><style>body { margin: 0 }</style>
<script>window.__grafana_public_path__ = '/public/'</script>
<main></main><script src="/page.js"></script>`

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
}

interface Served {
  readonly folder: string
  readonly prometheus: string
  readonly dashboard: string
}

async function serve(
  { folder, prometheus, dashboard }: Served,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://page.test')
  const send = (type: string, body: string | Buffer) =>
    response.writeHead(200, { 'Content-Type': type }).end(body)
  if (pathname === '/') return void send('text/html', PAGE)
  if (pathname === '/dashboard.json') return void send('application/json', dashboard)
  if (pathname.startsWith('/api/v1/')) {
    const type = String(request.headers['content-type'])
    const answer = await fetch(`${prometheus}${pathname}`, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body: await buffer(request),
    })
    return void send('application/json', Buffer.from(await answer.arrayBuffer()))
  }
  const file = fileOf(folder, normalize(pathname))
  if (!existsSync(file)) return void response.writeHead(404).end()
  send(TYPES[extname(file)] ?? 'application/octet-stream', readFileSync(file))
}

/** Grafana's own places of its font and icons, and where the packages have them. */
function fileOf(folder: string, path: string): string {
  const [, style] = /^\/public\/fonts\/inter\/Inter-(\w+)\.woff2$/.exec(path) ?? []
  if (style !== undefined) {
    const cut = { Regular: '400-normal', Medium: '500-normal', Italic: '400-italic' }[style]
    return join(packages(), `@fontsource/inter/files/inter-latin-${cut}.woff2`)
  }
  if (path.startsWith('/public/fonts/'))
    return join(packages(), '@fontsource/roboto-mono/files/roboto-mono-latin-400-normal.woff2')
  const [, icon] = /^\/public\/build\/img\/icons\/(.*)$/.exec(path) ?? []
  if (icon !== undefined) return join(packages(), '@grafana/ui/dist/public/img/icons', icon)
  return join(folder, path)
}

async function draw(
  browser: Browser,
  address: string,
  width: number,
  name: string,
): Promise<Drawn> {
  const page = await browser.newPage({ viewport: { width, height: 1000 }, deviceScaleFactor: 1 })
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  try {
    await page.goto(address)
    await page.waitForFunction('window.shown !== undefined')
    await page.evaluate(UNTIL_STILL)
    // Tables leave out what lies outside the window.
    const height = Number(await page.evaluate('document.documentElement.scrollHeight'))
    await page.setViewportSize({ width, height })
    await page.evaluate(UNTIL_STILL)
    mkdirSync(pictures(), { recursive: true })
    const picture = await page.screenshot({ fullPage: true })
    writeFileSync(join(pictures(), `${name}.png`), picture)
    const shown = (await page.evaluate('window.shown')) as Drawn
    const found = (await page.evaluate(FOUND)) as Pick<Drawn, 'cut' | 'texts'>
    return { ...shown, ...found, complaints }
  } finally {
    await page.close()
  }
}

/** Resolves once nothing is added to the page any more. */
const UNTIL_STILL = `
new Promise((done) => {
  let last = ''
  const look = () => {
    const now = document.body.innerText + document.querySelectorAll('*').length
    if (now === last) done(true)
    last = now
    setTimeout(look, 300)
  }
  look()
})`

/**
 * Elements whose text is wider or higher than what shows it, where the rest is hidden or has to be
 * scrolled to. What only screen readers get is one pixel wide.
 */
const FOUND = `
(() => {
  const cut = []
  const texts = {}
  for (const element of document.querySelectorAll('[data-panel]')) {
    const panel = element.dataset.panel
    texts[panel] = element.innerText
    for (const inner of element.querySelectorAll('*')) {
      const text = inner.innerText?.trim()
      if (!text || inner.clientWidth <= 1) continue
      const { overflowX, overflowY } = getComputedStyle(inner)
      if (overflowX !== 'visible' && inner.scrollWidth > inner.clientWidth + 1)
        cut.push({ panel, text, by: 'width' })
      if (overflowY !== 'visible' && inner.scrollHeight > inner.clientHeight + 1)
        cut.push({ panel, text, by: overflowY === 'hidden' ? 'height' : 'scrolled' })
    }
  }
  return { cut, texts }
})()`
