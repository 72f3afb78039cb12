import { ipFamilyOf } from '#base/net/address.js';
import { parseNetwork } from '#base/net/cidr.js';
import { parseGoDuration } from '#base/time/duration.js';

const dateTime = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
/** Longer units, and other spellings, of the `duration` format; the last of each may go on, as in `hours`. */
const durationUnits = [
  ['ns', 'nano'],
  ['us', 'µs', 'micro'],
  ['ms', 'milli'],
  ['s', 'sec'],
  ['m', 'min'],
  ['h', 'hr', 'hour'],
  ['d', 'day'],
  ['w', 'wk', 'week'],
];

/** Whether a text has a format of OpenAPI; unknown formats accept everything. */
export function matchesFormat(value: string, format: string): boolean {
  switch (format) {
    case 'date-time':
      return dateTime.test(value) && !Number.isNaN(Date.parse(value));
    case 'date':
      return /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value));
    case 'byte':
      return value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
    case 'ipv4':
      return ipFamilyOf(value) === 'IPv4';
    case 'ipv6':
      return ipFamilyOf(value) === 'IPv6';
    case 'cidr':
      return parseNetwork(value) !== undefined;
    case 'uuid':
      return /^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$/.test(value);
    case 'uri':
      return URL.canParse(value);
    case 'email':
      return /^[^\s@]+@[^\s@]+$/.test(value);
    case 'hostname':
      return value.length <= 253 && /^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$/.test(value);
    case 'duration':
      return isDuration(value);
    default:
      // Unknown formats are accepted, as Kubernetes accepts them.
      return true;
  }
}

/** What Go parses, or Scala's form such as `22 ns` or `2 days` (kube-openapi's strfmt/duration.go). */
function isDuration(text: string): boolean {
  if (parseGoDuration(text).ns !== undefined) return true;
  if (!/^\s*(?:\d+\s*[A-Za-zµ]+\s*)+$/.test(text)) return false;
  return [...text.matchAll(/\d+\s*([A-Za-zµ]+)/g)].some(([, unit = '']) =>
    durationUnits.some((names) => isUnit(unit.toLowerCase(), names)),
  );
}

function isUnit(unit: string, names: readonly string[]): boolean {
  return names.includes(unit) || unit.startsWith(names.at(-1) ?? '');
}
