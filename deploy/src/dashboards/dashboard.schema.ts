/**
 * The part of Grafana's dashboard model (schema version 41, Grafana 11.6) that these dashboards use, as a JSON
 * schema: names, types and bounds are those Grafana publishes in `kinds/dashboard`. Closed where Grafana would ignore
 * a misspelt property in silence.
 */
const text = { type: 'string', minLength: 1 } as const;

const dataSourceRef = {
  type: 'object',
  required: ['type', 'uid'],
  additionalProperties: false,
  properties: { type: { const: 'prometheus' }, uid: { const: '$' + '{datasource}' } },
} as const;

const gridPos = {
  type: 'object',
  required: ['x', 'y', 'w', 'h'],
  additionalProperties: false,
  properties: {
    x: { type: 'integer', minimum: 0, maximum: 23 },
    y: { type: 'integer', minimum: 0 },
    w: { type: 'integer', minimum: 1, maximum: 24 },
    h: { type: 'integer', minimum: 1 },
  },
} as const;

const thresholds = {
  type: 'object',
  required: ['mode', 'steps'],
  additionalProperties: false,
  properties: {
    mode: { enum: ['absolute', 'percentage'] },
    steps: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['value', 'color'],
        additionalProperties: false,
        properties: { value: { type: ['number', 'null'] }, color: text },
      },
    },
  },
} as const;

const fieldConfig = {
  type: 'object',
  required: ['defaults', 'overrides'],
  additionalProperties: false,
  properties: {
    defaults: {
      type: 'object',
      required: ['unit'],
      additionalProperties: false,
      properties: {
        unit: text,
        min: { type: 'number' },
        max: { type: 'number' },
        thresholds,
        custom: {
          type: 'object',
          additionalProperties: false,
          properties: {
            drawStyle: { enum: ['line', 'bars', 'points'] },
            lineWidth: { type: 'number', minimum: 0, maximum: 10 },
            fillOpacity: { type: 'number', minimum: 0, maximum: 100 },
            stacking: {
              type: 'object',
              required: ['mode', 'group'],
              additionalProperties: false,
              properties: { mode: { enum: ['none', 'normal', 'percent'] }, group: text },
            },
          },
        },
      },
    },
    overrides: { type: 'array', maxItems: 0 },
  },
} as const;

const target = {
  type: 'object',
  required: ['refId', 'datasource', 'expr', 'legendFormat'],
  additionalProperties: false,
  properties: {
    refId: { type: 'string', pattern: '^[A-Z]$' },
    datasource: dataSourceRef,
    expr: text,
    legendFormat: text,
    range: { type: 'boolean' },
    instant: { type: 'boolean' },
  },
} as const;

const row = {
  type: 'object',
  required: ['type', 'id', 'title', 'collapsed', 'gridPos', 'panels'],
  additionalProperties: false,
  properties: {
    type: { const: 'row' },
    id: { type: 'integer', minimum: 1 },
    title: text,
    collapsed: { const: false },
    gridPos,
    panels: { type: 'array', maxItems: 0 },
  },
} as const;

const panel = {
  type: 'object',
  required: ['type', 'id', 'title', 'description', 'datasource', 'gridPos', 'fieldConfig', 'targets'],
  additionalProperties: false,
  properties: {
    type: { enum: ['timeseries', 'stat', 'table'] },
    id: { type: 'integer', minimum: 1 },
    title: text,
    description: text,
    transparent: { type: 'boolean' },
    repeatDirection: { enum: ['h', 'v'] },
    datasource: dataSourceRef,
    gridPos,
    fieldConfig,
    targets: { type: 'array', minItems: 1, items: target },
    options: { type: 'object' },
  },
} as const;

const variable = {
  type: 'object',
  required: ['type', 'name', 'label', 'skipUrlSync'],
  additionalProperties: false,
  properties: {
    type: { enum: ['datasource', 'query'] },
    name: { type: 'string', pattern: '^[a-z]+$' },
    label: text,
    skipUrlSync: { type: 'boolean' },
    query: { type: ['string', 'object'] },
    datasource: dataSourceRef,
    current: { type: 'object' },
    refresh: { enum: [0, 1, 2] },
    hide: { enum: [0, 1, 2] },
    multi: { type: 'boolean' },
    includeAll: { type: 'boolean' },
    allValue: text,
    allowCustomValue: { type: 'boolean' },
    options: { type: 'array' },
    regex: { type: 'string' },
    sort: { type: 'integer', minimum: 0, maximum: 8 },
    auto: { const: false },
    auto_min: { type: 'string' },
    auto_count: { type: 'integer' },
  },
} as const;

const link = {
  type: 'object',
  required: [
    'title',
    'type',
    'icon',
    'tooltip',
    'tags',
    'asDropdown',
    'targetBlank',
    'includeVars',
    'keepTime',
  ],
  additionalProperties: false,
  properties: {
    title: text,
    type: { enum: ['link', 'dashboards'] },
    icon: { type: 'string' },
    tooltip: { type: 'string' },
    url: { type: 'string' },
    tags: { type: 'array', items: text },
    asDropdown: { type: 'boolean' },
    targetBlank: { type: 'boolean' },
    includeVars: { type: 'boolean' },
    keepTime: { type: 'boolean' },
  },
} as const;

export const dashboardSchema = {
  type: 'object',
  required: [
    'uid',
    'title',
    'description',
    'tags',
    'editable',
    'graphTooltip',
    'schemaVersion',
    'time',
    'panels',
  ],
  additionalProperties: false,
  properties: {
    uid: { type: 'string', pattern: '^[a-zA-Z0-9_-]{8,40}$' },
    title: text,
    description: text,
    tags: { type: 'array', items: text, uniqueItems: true },
    timezone: { enum: ['browser', 'utc'] },
    editable: { type: 'boolean' },
    graphTooltip: { enum: [0, 1, 2] },
    fiscalYearStartMonth: { type: 'integer', minimum: 0, maximum: 11 },
    schemaVersion: { const: 41 },
    time: {
      type: 'object',
      required: ['from', 'to'],
      additionalProperties: false,
      properties: { from: text, to: text },
    },
    refresh: { type: 'string', pattern: '^\\d+[smhd]$' },
    templating: {
      type: 'object',
      required: ['list'],
      additionalProperties: false,
      properties: { list: { type: 'array', items: variable } },
    },
    annotations: { type: 'object', maxProperties: 0 },
    links: { type: 'array', items: link },
    panels: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['type'],
        if: { properties: { type: { const: 'row' } } },
        // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON schema.
        then: row,
        else: panel,
      },
    },
  },
} as const;
