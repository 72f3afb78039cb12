import { apiError } from '../api-error.js';

/** A boolean query parameter as Kubernetes reads it: present and neither `false` nor `0`. */
export function queryFlag(query: URLSearchParams, name: string): boolean {
  return optionalFlag(query, name) === true;
}

/** As {@link queryFlag}, but undefined when the parameter is absent. */
export function optionalFlag(query: URLSearchParams, name: string): boolean | undefined {
  const value = query.get(name);
  return value === null ? undefined : value !== '0' && value.toLowerCase() !== 'false';
}

/** An integer query parameter; undefined when absent or empty. Throws 400 for anything else. */
export function queryInteger(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^[-+]?\d+$/.test(text)) {
    throw apiError.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw apiError.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  }
  return value;
}
