import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './repository.ts'

/** The parts of Grafana's model that the tests look at. */
export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[]
  readonly links?: readonly { readonly url: string }[]
  readonly fieldConfig?: {
    readonly defaults: { readonly unit?: string }
    readonly overrides: readonly Override[]
  }
  readonly options?: Readonly<Record<string, unknown>>
}

interface Override {
  readonly matcher: { readonly id: string; readonly options: string }
  readonly properties: readonly { readonly id: string; readonly value: unknown }[]
}

interface Annotation {
  readonly name: string
  readonly target: { readonly expr: string }
}

export interface Variable {
  readonly name: string
  readonly query: string | { readonly query: string }
  readonly current: { readonly value: string | readonly string[] }
}

export interface Dashboard {
  readonly uid: string
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly annotations: { readonly list: readonly Annotation[] }
  readonly templating: { readonly list: readonly Variable[] }
}

/** The shipped dashboard's text. */
export const dashboardText = (): string =>
  readFileSync(join(repository(), 'deploy/grafana/dashboards/certlatch.json'), 'utf8')

export const readDashboard = (): Dashboard => JSON.parse(dashboardText())

/** Every query of the panels, with the panel that it is for. */
export function queriesOf(dashboard: Dashboard) {
  return dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr }) => ({ title, refId, expr })),
  )
}
