/**
 * Draws the shipped dashboard with Grafana's own components, as Grafana itself would: what its panels
 * add to these components is not published, and is repeated here as far as the dashboard uses it.
 * Bundled by grafana.ts, with the packages that tools.sh installs.
 */
import {
  applyFieldOverrides,
  booleanOverrideProcessor,
  cacheFieldDisplayNames,
  createTheme,
  dateTime,
  displayNameOverrideProcessor,
  FieldConfigOptionsRegistry,
  FieldType,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  identityOverrideProcessor,
  numberOverrideProcessor,
  rangeUtil,
  renderLegendFormat,
  renderTextPanelMarkdown,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  ThemeContext,
  thresholdsOverrideProcessor,
  toDataFrame,
  transformDataFrame,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data'
import { initPluginTranslations } from '@grafana/i18n'
import {
  BarGauge,
  BigValue,
  GlobalStyles,
  Icon,
  PanelChrome,
  TimeSeries,
  VizRepeater,
} from '@grafana/ui'
import { TableNG } from '@grafana/ui/unstable'
import { createElement, useLayoutEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { firstValueFrom } from 'rxjs'

const asked = new URLSearchParams(location.search)
const [from, to] = ['from', 'to'].map((name) => Number(asked.get(name)))
const SCRAPE_SECONDS = Number(asked.get('scrape'))
const range = { from: dateTime(from), to: dateTime(to), raw: { from: 'now-6h', to: 'now' } }
const theme = createTheme({ colors: { mode: asked.get('theme') } })
const timeZone = 'utc'

/** Grafana's grid: 24 columns of lines that are 30 pixels high, with a gap of 8. */
const [COLUMNS, LINE, GAP] = [24, 30, 8]
const isNarrow = innerWidth < theme.breakpoints.values.md
const gridWidth = document.documentElement.clientWidth - 2 * theme.spacing.gridSize * 2
const pixels = (cells, size) => cells * size + (cells - 1) * GAP
const columnWidth = (gridWidth - GAP * (COLUMNS - 1)) / COLUMNS

// --- variables and queries ------------------------------------------------------------------------

const stepOf = (width) =>
  Math.max(SCRAPE_SECONDS, rangeUtil.roundInterval((to - from) / width) / 1000)

const variables = (step) => ({
  __rate_interval: `${Math.max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s`,
  __interval: `${step}s`,
  __range: `${Math.round((to - from) / 1000)}s`,
  instance: '.*',
  device: '.*',
  docs: '/public/certlatch',
})

const filled = (text, step = SCRAPE_SECONDS) =>
  text.replaceAll(/\$\{?(\w+)\}?/g, (whole, name) => variables(step)[name] ?? whole)

async function ask({ expr, instant }, step) {
  const query = filled(expr, step)
  const [start, end] = [from / 1000, to / 1000].map((time) => Math.floor(time / step) * step)
  const when = instant ? { time: to / 1000 } : { start, end, step }
  const answer = await fetch(`/api/v1/${instant ? 'query' : 'query_range'}`, {
    method: 'POST',
    body: new URLSearchParams({ query, ...when }),
  })
  const { data, error } = await answer.json()
  if (error) throw new Error(`${query}: ${error}`)
  return data.result.map(({ metric, value, values = [value] }) => ({
    labels: metric,
    times: values.map(([time]) => time * 1000),
    numbers: values.map(([, text]) => Number(text)),
  }))
}

/** One frame for each series, with gaps where a step has no value. */
const seriesFrames = ({ refId, legendFormat, instant }, samples, step) =>
  samples.map(({ labels, times, numbers }) => {
    const { __name__: name, ...rest } = labels
    const displayNameFromDS =
      (legendFormat && renderLegendFormat(legendFormat, labels)) || name || JSON.stringify(rest)
    const known = new Map(times.map((time, index) => [time, numbers[index]]))
    const all = instant ? times : []
    if (!instant) {
      for (let time = times[0]; time <= times.at(-1); time += step * 1000) all.push(time)
    }
    return toDataFrame({
      refId,
      name: displayNameFromDS,
      fields: [
        { name: 'Time', type: FieldType.time, values: all, config: {} },
        {
          name: 'Value',
          type: FieldType.number,
          labels: rest,
          values: all.map((time) => known.get(time) ?? null),
          config: { displayNameFromDS },
        },
      ],
    })
  })

/** The format `table`: a column for each label, and the last value. */
function tableFrame({ refId }, samples, isAlone) {
  const names = [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))].sort()
  return toDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: samples.map(({ times }) => times[0]) },
      ...names.map((name) => ({
        name,
        type: FieldType.string,
        config: { filterable: true },
        values: samples.map(({ labels }) => labels[name] ?? ''),
      })),
      {
        name: isAlone ? 'Value' : `Value #${refId}`,
        type: FieldType.number,
        values: samples.map(({ numbers }) => numbers[0]),
      },
    ],
  })
}

async function framesOf({ targets = [], transformations = [] }, width) {
  const step = stepOf(width)
  const answered = await Promise.all(
    targets.map(async (target) => {
      const samples = await ask(target, step)
      if (target.format !== 'table') return seriesFrames(target, samples, step)
      return samples.length === 0 ? [] : [tableFrame(target, samples, targets.length === 1)]
    }),
  )
  return firstValueFrom(transformDataFrame(transformations, answered.flat()))
}

// --- field configuration --------------------------------------------------------------------------

const PROCESSORS = {
  displayName: displayNameOverrideProcessor,
  unit: unitOverrideProcessor,
  min: numberOverrideProcessor,
  max: numberOverrideProcessor,
  decimals: numberOverrideProcessor,
  noValue: stringOverrideProcessor,
  fieldMinMax: booleanOverrideProcessor,
  mappings: valueMappingsOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
  color: identityOverrideProcessor,
  links: identityOverrideProcessor,
}

function registryFor({ defaults, overrides }) {
  const custom = new Set(Object.keys(defaults.custom ?? {}))
  for (const { id } of overrides.flatMap(({ properties }) => properties)) {
    if (id.startsWith('custom.')) custom.add(id.slice('custom.'.length))
  }
  const item = (id, path, isCustom, process) => ({
    ...{ id, path, name: path, isCustom, process, shouldApply: () => true },
    ...{ editor: () => null, override: () => null },
  })
  return new FieldConfigOptionsRegistry(() => [
    ...Object.entries(PROCESSORS).map(([id, process]) => item(id, id, false, process)),
    ...[...custom].map((name) => item(`custom.${name}`, name, true, identityOverrideProcessor)),
  ])
}

function configured(frames, fieldConfig) {
  const done = applyFieldOverrides({
    data: frames,
    fieldConfig,
    fieldConfigRegistry: registryFor(fieldConfig),
    replaceVariables: (text) => filled(text),
    theme,
    timeZone,
  })
  cacheFieldDisplayNames(done)
  return done
}

// --- panels ---------------------------------------------------------------------------------------

const displayValues = ({ options, fieldConfig }, frames, sparkline) =>
  getFieldDisplayValues({
    fieldConfig,
    reduceOptions: options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    sparkline,
    timeZone,
  })

const Stat = ({ panel, frames, width, height }) => {
  const { options } = panel
  const render = ({ value, alignmentFactors, width, height, count }) => (
    <BigValue
      value={value.display}
      sparkline={value.sparkline && { ...value.sparkline, timeRange: range }}
      {...{ count, width, height, theme, alignmentFactors, ...options }}
    />
  )
  return (
    <VizRepeater
      getValues={() => displayValues(panel, frames, options.graphMode !== 'none')}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={render}
      source={frames}
      renderCounter={0}
      itemSpacing={3}
      autoGrid
      orientation={options.orientation}
      {...{ width, height }}
    />
  )
}

/** Grafana takes the panel's sizes only where it is told to. */
const barSizes = ({ sizing, minVizHeight, maxVizHeight }) =>
  sizing === 'manual' ? { minVizHeight, maxVizHeight } : { minVizHeight: 16, maxVizHeight: 300 }

const Bars = ({ panel, frames, width, height }) => {
  const { options } = panel
  const render = ({ value, alignmentFactors, orientation, width, height, count }) => (
    <BarGauge
      value={value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex)}
      alignmentFactors={count > 1 ? alignmentFactors : undefined}
      valueDisplayMode={options.valueMode}
      itemSpacing={10}
      lcdCellWidth={8}
      {...{ orientation, width, height, theme }}
      displayMode={options.displayMode}
      text={options.text}
      namePlacement={options.namePlacement}
      showUnfilled={options.showUnfilled}
    />
  )
  return (
    <VizRepeater
      getValues={() => displayValues(panel, frames, false)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={render}
      source={frames}
      renderCounter={0}
      itemSpacing={10}
      minVizWidth={8}
      orientation={options.orientation}
      {...{ width, height, ...barSizes(options) }}
    />
  )
}

const Table = ({ panel, frames, width, height }) => {
  const { options, fieldConfig } = panel
  return (
    <TableNG
      data={frames[options.frameIndex ?? 0]}
      noHeader={!options.showHeader}
      sortBy={options.sortBy}
      cellHeight={options.cellHeight}
      enableVirtualization={false}
      timeRange={range}
      structureRev={1}
      {...{ width, height, fieldConfig }}
    />
  )
}

const Series = ({ panel, frames, width, height, events }) => (
  <TimeSeries
    frames={frames}
    legend={panel.options.legend}
    options={panel.options}
    timeRange={range}
    structureRev={1}
    {...{ timeZone, width, height }}
  >
    {(config) => <Annotations {...{ config, events }} />}
  </TimeSeries>
)

const Text = ({ panel, width, height }) => (
  <div className="markdown-html" style={{ width, height, overflow: 'auto' }} data-text>
    {createElement('div', {
      dangerouslySetInnerHTML: { __html: renderTextPanelMarkdown(filled(panel.options.content)) },
    })}
  </div>
)

const KINDS = { stat: Stat, bargauge: Bars, table: Table, timeseries: Series, text: Text }

// --- annotations ----------------------------------------------------------------------------------

/** The events of one query, as Grafana reads them: steps that follow each other are one event. */
async function eventsOf(annotation) {
  const step = stepOf(100)
  const color = theme.visualization.getColorByName(annotation.iconColor)
  const series = await ask(annotation.target, step)
  return series.flatMap(({ labels, times, numbers }) => {
    const points = annotation.useValueForTime ? numbers : times.filter((_, at) => numbers[at] > 0)
    const events = []
    for (const time of points) {
      const last = events.at(-1)
      if (last && last.timeEnd + step * 1000 >= time) last.timeEnd = time
      else {
        const title = renderLegendFormat(annotation.titleFormat, labels)
        events.push({ name: annotation.name, title, color, time, timeEnd: time })
      }
    }
    return events
  })
}

/** Grafana draws them so: a dashed line, from end to end a shade, and a mark below. */
const Annotations = ({ config, events }) => {
  useLayoutEffect(() => {
    config.addHook('draw', (plot) => {
      const { ctx, bbox } = plot
      for (const { time, timeEnd, color } of events) {
        if (time < from || time > to) continue
        const [x, end] = [time, Math.min(timeEnd, to)].map((at) => plot.valToPos(at, 'x', true))
        ctx.save()
        ctx.strokeStyle = ctx.fillStyle = color
        ctx.lineWidth = 2
        ctx.setLineDash([5, 5])
        ctx.beginPath()
        ctx.moveTo(x, bbox.top)
        ctx.lineTo(x, bbox.top + bbox.height)
        ctx.stroke()
        ctx.globalAlpha = 0.1
        ctx.fillRect(x, bbox.top, end - x, bbox.height)
        ctx.globalAlpha = 1
        ctx.fillRect(x - 5, bbox.top + bbox.height - 3, Math.max(10, end - x + 10), 6)
        ctx.restore()
      }
    })
  }, [config, events])
  return null
}

// --- the page -------------------------------------------------------------------------------------

const isEmpty = (panel, frames) =>
  panel.type !== 'text' &&
  !frames.some(({ fields }) =>
    fields.some(({ type, values }) => type === FieldType.number && values.some(Number.isFinite)),
  )

const PanelLinks = ({ links = [] }) =>
  links.length === 0 ? undefined : (
    <a href={filled(links[0].url)} style={{ display: 'flex', padding: '0 8px' }}>
      <Icon name="external-link-alt" size="md" />
    </a>
  )

function Panel({ panel, frames, error, events, left, top, width, height }) {
  const place = isNarrow ? { marginBottom: GAP } : { position: 'absolute', left, top }
  if (panel.type === 'row') {
    return <h2 style={{ ...place, width, height, ...theme.typography.h5 }}>{panel.title}</h2>
  }
  const Kind = KINDS[panel.type]
  const nothing = panel.fieldConfig?.defaults.noValue ?? 'No data'
  return (
    <div style={{ ...place, width, height }} data-panel={panel.title}>
      <PanelChrome
        title={panel.title}
        description={panel.description}
        titleItems={<PanelLinks links={panel.links} />}
        {...{ width, height }}
      >
        {(innerWidth, innerHeight) => {
          if (error) return <div data-error>{error}</div>
          if (isEmpty(panel, frames) && panel.type !== 'stat') {
            return <div data-empty={nothing === 'No data'}>{nothing}</div>
          }
          return <Kind {...{ panel, frames, events }} width={innerWidth} height={innerHeight} />
        }}
      </PanelChrome>
    </div>
  )
}

async function prepared(panel, annotations) {
  const { x, y, w, h } = panel.gridPos
  const width = isNarrow ? gridWidth : pixels(w, columnWidth)
  const place = { left: x * (columnWidth + GAP), top: y * (LINE + GAP), height: pixels(h, LINE) }
  const events = annotations.flatMap(({ filter, events }) => {
    if (!filter?.ids?.length) return events
    return filter.ids.includes(panel.id) !== Boolean(filter.exclude) ? events : []
  })
  const common = { panel, width, events, ...place }
  if (panel.type === 'row' || panel.type === 'text') return { ...common, frames: [] }
  try {
    return { ...common, frames: configured(await framesOf(panel, width), panel.fieldConfig) }
  } catch (error) {
    return { ...common, frames: [], error: String(error) }
  }
}

async function show() {
  await initPluginTranslations('certlatch', [])
  // Some are there twice, under an older name.
  standardTransformersRegistry.setInit(() =>
    [...new Set(Object.values(standardTransformers))].map(({ id, name, ...rest }) => ({
      ...{ id, name, description: '' },
      transformation: () => ({ id, name, ...rest }),
    })),
  )
  const dashboard = await (await fetch('/dashboard.json')).json()
  const annotations = await Promise.all(
    dashboard.annotations.list
      .filter(({ builtIn }) => !builtIn)
      .map(async (annotation) => ({ ...annotation, events: await eventsOf(annotation) })),
  )
  const panels = await Promise.all(dashboard.panels.map((panel) => prepared(panel, annotations)))
  const lines = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h))
  const height = isNarrow ? undefined : pixels(lines, LINE)
  createRoot(document.querySelector('main')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'relative', margin: 2 * theme.spacing.gridSize, height }}>
        {panels.map((it) => (
          <Panel key={it.panel.id} {...it} />
        ))}
      </div>
    </ThemeContext.Provider>,
  )
  window.shown = {
    events: annotations.map(({ name, events }) => ({ name, count: events.length })),
    errors: panels.filter(({ error }) => error).map(({ panel, error }) => [panel.title, error]),
    empty: panels
      .filter(({ panel, frames }) => panel.type !== 'row' && isEmpty(panel, frames))
      .map(({ panel }) => panel.title),
  }
}

show().catch((error) => {
  window.shown = { failed: String(error.stack) }
})
