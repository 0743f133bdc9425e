import type { Gauge, Registry } from 'prom-client'

/** One series: its labels and value, and in a histogram `_bucket`, `_sum` or `_count`. */
export type Reading = readonly [
  labels: Readonly<Record<string, string | number>>,
  value: number,
  suffix?: string,
]

/** Registers a metric; `read` returns its only value, or its series. */
export type Register = (name: string, help: string, read: () => number | readonly Reading[]) => void

/**
 * Registers metrics that are read on each scrape: prom-client's own classes would copy every value
 * first, and a histogram takes only single observations. Of a metric, the registry uses only its name
 * and `get`.
 */
export function registerIn(registry: Registry, type: 'counter' | 'gauge' | 'histogram'): Register {
  return (name, help, read) => {
    const get = async () => ({ name, help, type, values: seriesOf(name, read()) })
    registry.registerMetric({ name, get } as unknown as Gauge)
  }
}

/**
 * Keeps only the last of several series with the same labels, as repeated ones make the whole scrape
 * invalid: a device may be named `other`, which is also the label of the unregistered certificates.
 */
function seriesOf(name: string, read: number | readonly Reading[]) {
  if (typeof read === 'number') return [{ value: read }]
  const series = read.map(([labels, value, suffix = '']) => ({
    labels,
    value,
    metricName: `${name}${suffix}`,
  }))
  const byLabels = series.map((one) => [JSON.stringify([one.metricName, one.labels]), one] as const)
  return [...new Map(byLabels).values()]
}
