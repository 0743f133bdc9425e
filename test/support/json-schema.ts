/** The part of JSON Schema (draft 7) that the schema of the policy file uses, and nothing else. */
export interface Schema {
  readonly $schema?: string
  readonly $ref?: string
  readonly title?: string
  readonly description?: string
  readonly definitions?: Readonly<Record<string, Schema>>
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly minLength?: number
  readonly pattern?: string
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: false
}

type Check = (value: unknown, schema: Schema, root: Schema) => boolean

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value

const always: Check = () => true

/** A keyword says nothing about values of another type than its own. */
const CHECKS: Readonly<Record<keyof Schema, Check>> = {
  $schema: always,
  title: always,
  description: always,
  definitions: always,
  $ref: (value, { $ref = '' }, root) => {
    const referred = root.definitions?.[$ref.replace('#/definitions/', '')]
    if (referred === undefined) throw new Error(`there is no ${$ref}`)
    return isValid(value, referred, root)
  },
  type: (value, { type = [] }) => [type].flat().includes(typeOf(value)),
  enum: (value, schema) => schema.enum?.includes(value) ?? true,
  minLength: (value, { minLength = 0 }) => typeof value !== 'string' || value.length >= minLength,
  pattern: (value, { pattern = '' }) =>
    typeof value !== 'string' || new RegExp(pattern, 'u').test(value),
  anyOf: (value, { anyOf = [] }, root) => anyOf.some((schema) => isValid(value, schema, root)),
  items: (value, { items = {} }, root) =>
    !Array.isArray(value) || value.every((item) => isValid(item, items, root)),
  minItems: (value, { minItems = 0 }) => !Array.isArray(value) || value.length >= minItems,
  maxItems: (value, { maxItems = 0 }) => !Array.isArray(value) || value.length <= maxItems,
  properties: (value, { properties = {} }, root) =>
    !isObject(value) ||
    Object.entries(properties).every(
      ([name, schema]) => !Object.hasOwn(value, name) || isValid(value[name], schema, root),
    ),
  required: (value, { required = [] }) =>
    !isObject(value) || required.every((name) => Object.hasOwn(value, name)),
  additionalProperties: (value, { properties = {} }) =>
    !isObject(value) || Object.keys(value).every((name) => Object.hasOwn(properties, name)),
}

/** Throws where the schema uses what is not known here, so that nothing goes unchecked. */
export function isValid(value: unknown, schema: Schema, root: Schema = schema): boolean {
  return Object.keys(schema).every((keyword) => {
    if (!Object.hasOwn(CHECKS, keyword)) throw new Error(`${keyword} is not checked here`)
    return CHECKS[keyword as keyof Schema](value, schema, root)
  })
}
