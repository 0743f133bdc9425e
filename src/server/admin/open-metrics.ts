const COUNTER_HEAD = /^# HELP (\w+)_total (.*)\n# TYPE \1_total counter$/gm

/**
 * Converts the Prometheus text format to OpenMetrics 1.0: HELP and TYPE name counters without `_total`,
 * HELP escapes quotes, there are no empty lines, and the end is marked. prom-client's own conversion
 * renames the metrics permanently, so it can't serve both formats.
 */
export function asOpenMetrics(text: string): string {
  const renamed = text
    .replace(COUNTER_HEAD, '# HELP $1 $2\n# TYPE $1 counter')
    .replace(/^# HELP .*$/gm, (line) => line.replaceAll('"', '\\"'))
  return `${renamed.replace(/\n{2,}/g, '\n').trimEnd()}\n# EOF\n`
}

/**
 * Returns whether this Accept header prefers OpenMetrics to plain text. Parameters other than the weight
 * are ignored, because only one version and escaping is available.
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
