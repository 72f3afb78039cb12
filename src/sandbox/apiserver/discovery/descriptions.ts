/** What a built-in type is, in a sentence; undefined where we have none. */
export function describeType(_name: string): string | undefined {
  return undefined;
}

/** What a field of a built-in type is for; undefined where we have none. */
export function describeField(_type: string, _field: string): string | undefined {
  return undefined;
}
