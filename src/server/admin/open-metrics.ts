const COUNTER_HEAD = /^# HELP (\w+)_total (.*)\n# TYPE \1_total counter$/gm

/**
 * The text format of Prometheus as OpenMetrics 1.0: counters are named without `_total` where they
 * are described, quotes are escaped there, there are no empty lines, and an end is marked.
 * prom-client's own way renames the metrics for good, so that it can't answer both.
 */
export function asOpenMetrics(text: string): string {
  const renamed = text
    .replace(COUNTER_HEAD, '# HELP $1 $2\n# TYPE $1 counter')
    .replace(/^# HELP .*$/gm, (line) => line.replaceAll('"', '\\"'))
  return `${renamed.replace(/\n{2,}/g, '\n').trimEnd()}\n# EOF\n`
}

/**
 * Whether this Accept header asks for OpenMetrics rather than plain text. Parameters besides the
 * weight are left aside: what version or escaping is asked for, there is only one to be had.
 */
export function prefersOpenMetrics(accept: string): boolean {
  const weights = { [OPEN_METRICS]: 0, [PLAIN_TEXT]: 0 }
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    if (type !== OPEN_METRICS && type !== PLAIN_TEXT) continue
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    weights[type] = Math.max(weights[type], weight === undefined ? 1 : Number(weight.slice(2)))
  }
  return weights[OPEN_METRICS] > weights[PLAIN_TEXT]
}

const OPEN_METRICS = 'application/openmetrics-text'
const PLAIN_TEXT = 'text/plain'
