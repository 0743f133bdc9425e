import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { DENY_REASONS, MINT_CAUSES } from '../src/decision.ts'
import { createRegistry } from '../src/server/admin/metrics.ts'
import { createTally } from '../src/server/admin/tally.ts'
import { DEVICE_STATES } from '../src/store/device-state.ts'
import { dashboardText, queriesOf, readDashboard } from './support/dashboard.ts'
import { anchorsOf, section } from './support/markdown.ts'
import { repository } from './support/repository.ts'
import { startTestService } from './support/service.ts'

const ROOT = repository()
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const dashboard = readDashboard()
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const queries = queriesOf(dashboard)

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
}
const rules: readonly Rule[] = parse(read('deploy/prometheus/certlatch.rules.yml')).groups.flatMap(
  (group: { readonly rules: readonly Rule[] }) => group.rules,
)

const expressions = [
  ...queries.map(({ title, expr }) => ({ where: `panel "${title}"`, expr })),
  ...dashboard.annotations.list.map(({ name, target }) => ({
    where: `annotation "${name}"`,
    expr: target.expr,
  })),
  ...rules.map(({ alert, expr }) => ({ where: `alert ${alert}`, expr })),
  ...dashboard.templating.list.map(({ name, query }) => ({
    where: `variable ${name}`,
    expr: typeof query === 'string' ? '' : query.query,
  })),
]

const unasked = () => assert.fail('nothing is scraped here')
const registry = createRegistry(createTally(), {
  version: '0.0.0',
  sessionMaxAgeSeconds: 0,
  nowSeconds: unasked,
  snapshot: unasked,
  readiness: unasked,
  holders: unasked,
  cacheEntries: unasked,
})
const exposed: ReadonlySet<string> = new Set(registry.getMetricsAsArray().map(({ name }) => name))
const METRIC = /\b(?:certlatch|process|nodejs)_\w+/g
const base = (name: string) => name.replace(/_(?:bucket|sum|count)$/, '')
const used = new Set(expressions.flatMap(({ expr }) => (expr.match(METRIC) ?? []).map(base)))

test('Every metric that a panel, a variable or an alert queries exists', () => {
  for (const { where, expr } of expressions) {
    for (const name of expr.match(METRIC) ?? [])
      assert.ok(exposed.has(base(name)), `${where}: ${name}`)
  }
})

test('Every certlatch metric is on the dashboard or in an alert', () => {
  const ours = [...exposed].filter((name) => name.startsWith('certlatch_'))
  assert.deepEqual(
    ours.filter((name) => !used.has(name)),
    [],
  )
})

test('Every label value that a panel or an alert queries can occur', async (context) => {
  const service = await startTestService(context)
  const { checks } = await service.readiness()
  const values: Readonly<Record<string, readonly string[]>> = {
    reason: Object.keys(DENY_REASONS),
    via: ['certificate', 'session', 'rule', 'none'],
    outcome: ['allow', 'deny'],
    check: Object.keys(checks),
    state: DEVICE_STATES,
    cause: MINT_CAUSES,
    alertstate: ['firing'],
    job: [parse(read('deploy/prometheus/prometheus.yml')).scrape_configs[0].job_name],
  }
  for (const { where, expr } of expressions) {
    for (const [, label = '', , texts = ''] of expr.matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)) {
      if (label === 'instance' || label === 'device') continue
      if (label === 'alertname') {
        const names = new RegExp(`^(?:${texts})$`)
        assert.ok(
          rules.every(({ alert }) => names.test(alert)),
          `${where}: ${texts}`,
        )
        continue
      }
      for (const text of texts.split('|')) {
        assert.ok(values[label]?.includes(text), `${where}: ${label}="${text}"`)
      }
    }
  }
})

test('The README of deploy/prometheus explains every alert, with its severity, and no other', () => {
  const table = section(read('deploy/prometheus/README.md'), 'The alerts')
  const rows = [...table.matchAll(/^\| `(\w+)` \|.*\| (\w+) \|$/gm)].map(
    ([, alert, severity]) => `${alert}: ${severity}`,
  )
  assert.deepEqual(
    rows.sort(),
    rules.map(({ alert, labels }) => `${alert}: ${labels.severity}`).sort(),
  )
})

// --- the dashboard --------------------------------------------------------------------------------

/**
 * Enums of strings take no string in TypeScript, though a string is what the JSON has; and what the
 * types call optional may be written as `null` where Grafana itself does so.
 */
const CHECK = `
import type { AnnotationQuery, Dashboard } from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen'
import type { Options as TimeSeries, FieldConfig as TimeSeriesField } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen'
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen'
import type { Options as Table, FieldConfig as TableField } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen'
import type { Options as BarGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen'
import type { Options as Text } from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen'
/** The data source's own part, which is not in the types. */
type FromPrometheus = {
  target: { refId: string; expr: string }
  titleFormat: string
  textFormat: string
  tagKeys: string
  useValueForTime?: boolean
}
type Annotations = { list: (Omit<AnnotationQuery, 'target'> & FromPrometheus)[] }
type Plain<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T
type Options = { timeseries: TimeSeries; stat: Stat; table: Table; bargauge: BarGauge; text: Text }
type Custom = { timeseries: TimeSeriesField; table: Partial<TableField> }
`

/** What the compiler says of a dashboard. */
function typeErrors(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-dashboard-'))
  const { panels }: typeof dashboard = JSON.parse(text)
  const parts = panels.flatMap(({ type, options, fieldConfig }, index) => {
    if (type === 'row') return []
    const custom = (fieldConfig?.defaults as { custom?: object } | undefined)?.custom
    const typed = (name: string, of: string, value: unknown) =>
      `const ${name}${index}: Plain<${of}['${type}']> = ${JSON.stringify(value)}\n`
    const checked = typed('options', 'Options', options)
    return custom === undefined ? [checked] : [checked, typed('custom', 'Custom', custom)]
  })
  try {
    const whole = `const dashboard: Plain<Omit<Dashboard, 'annotations'> & { annotations: Annotations }> = ${text}\n`
    writeFileSync(join(folder, 'dashboard.ts'), `${CHECK}\n${whole}${parts.join('')}`)
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext']
    execFileSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, '--types', '', 'dashboard.ts'],
      { cwd: folder, encoding: 'utf8', stdio: 'pipe' },
    )
    return ''
  } catch (error) {
    return String((error as { stdout?: string }).stdout ?? error).slice(0, 4_000)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test("The dashboard conforms to Grafana's published types", { timeout: 120_000 }, () => {
  assert.equal(typeErrors(dashboardText()), '')
  // That nothing is found would say little if nothing were looked for.
  const spoiled = dashboardText()
    .replace('"graphTooltip": 1', '"graphTooltip": "shared"')
    .replace('"displayMode": "basic"', '"displayMode": "plain"')
    .replace('"drawStyle": "line"', '"drawStile": "line"')
  const found = typeErrors(spoiled)
  for (const name of ['DashboardCursorSync', '"plain"', 'drawStile'])
    assert.ok(found.includes(name), name)
})

test('Each panel says what it shows, in which unit, and links to a page of docs/', () => {
  const ids = dashboard.panels.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  for (const { title, description = '', type, fieldConfig } of panels) {
    assert.ok(description.length > 20, title)
    if (type !== 'text') assert.ok(fieldConfig?.defaults.unit, title)
  }
  const links = [...dashboardText().matchAll(/\$\{docs\}([^")]*)/g)]
  assert.ok(links.length > 15)
  for (const [, target = ''] of links) {
    const [, page = '', anchor] = /^\/([a-z-]+\.md)(?:#(.*))?$/.exec(target) ?? []
    assert.ok(existsSync(join(ROOT, 'docs', page)), target)
    assert.ok(anchor === undefined || anchorsOf(read(`docs/${page}`)).includes(anchor), target)
  }
})

test('No two panels overlap, none is narrower than a sixth, and no gap is left between rows', () => {
  const covered = new Set<string>()
  let bottom = 0
  for (const { title, gridPos } of dashboard.panels) {
    const { x, y, w, h } = gridPos
    assert.ok(x >= 0 && x + w <= 24 && w >= 4, title)
    assert.ok(y <= bottom, `${title} hangs in the air`)
    bottom = Math.max(bottom, y + h)
    for (let column = x; column < x + w; column += 1) {
      for (let line = y; line < y + h; line += 1) {
        const place = `${column},${line}`
        assert.ok(!covered.has(place), `${title} overlaps at ${place}`)
        covered.add(place)
      }
    }
  }
  assert.equal(covered.size, 24 * bottom, 'each row is filled from side to side')
})

test('Each state of a device has a colour of its own', () => {
  const overrides = panels.find(({ title }) => title === 'Devices by state')?.fieldConfig?.overrides
  const colours = new Map(
    overrides?.map(({ matcher, properties }) => [
      matcher.options,
      JSON.stringify(properties.find(({ id }) => id === 'color')?.value),
    ]),
  )
  assert.deepEqual([...colours.keys()].sort(), [...DEVICE_STATES].sort())
  assert.equal(new Set(colours.values()).size, DEVICE_STATES.length)
})

test('Every query can be narrowed by instance, and those about devices by device', () => {
  const annotations = dashboard.annotations.list.map(({ name, target }) => ({
    title: name,
    expr: target.expr,
  }))
  for (const { title, expr } of [...queries, ...annotations]) {
    for (const [selector] of expr.matchAll(/\b(?:certlatch|process|nodejs)_\w+\{[^}]*\}/g)) {
      assert.ok(selector.includes('instance=~"$instance"'), `${title}: ${selector}`)
    }
    assert.ok(!/\b(?:certlatch|process|nodejs)_\w+\b(?!\{)/.test(expr), `${title}: no selector`)
  }
})

test('The shipped files use the same names for the same things', () => {
  const source = parse(read('deploy/grafana/provisioning/datasources/certlatch.yml')).datasources[0]
  const variable = dashboard.templating.list.find(({ name }) => name === 'datasource')
  assert.equal(variable?.current.value, source.uid)
  const prometheus = parse(read('deploy/prometheus/prometheus.yml'))
  assert.equal(source.jsonData.timeInterval, prometheus.global.scrape_interval)
  const alertmanager = parse(read('deploy/prometheus/alertmanager.yml'))
  const [automation] = parse(read('deploy/prometheus/home-assistant.yaml'))
  const { url } = alertmanager.receivers[0].webhook_configs[0]
  assert.ok(url.endsWith(`/api/webhook/${automation.triggers[0].webhook_id}`))
  const names = new Set(rules.map(({ alert }) => alert))
  const inhibited = JSON.stringify(alertmanager.inhibit_rules)
  for (const [, suffixes = ''] of inhibited.matchAll(/Certlatch\(([^)]*)\)/g)) {
    for (const suffix of suffixes.split('|')) assert.ok(names.has(`Certlatch${suffix}`), suffix)
  }
  for (const [name] of inhibited.matchAll(/Certlatch\w+/g)) {
    assert.ok(name === 'Certlatch' || names.has(name), name)
  }
})
