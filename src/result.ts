/**
 * What may fail as expected: the fields of a success, or those of a failure. A problem is a clause or
 * sentence for people, or the word for one reason of several.
 */
export type Result<Success extends object, Failure extends object = Problem> =
  | ({ readonly ok: true } & Readonly<Success>)
  | ({ readonly ok: false } & Readonly<Failure>)

/** The first thing that is wrong. */
export interface Problem<Kind extends string = string> {
  readonly problem: Kind
}

/** Everything that is wrong. */
export interface Problems {
  readonly problems: readonly string[]
}

/** As much as could be read, and everything that is wrong with the rest. */
export interface Part<T> extends Problems {
  readonly value: T
}
