import type { IncomingHttpHeaders } from 'node:http2';
import { HeaderList } from '../message/header-list.js';

/** Header fields without the pseudo ones; Node has already joined repetitions. */
export function fieldsOf(incoming: IncomingHttpHeaders): HeaderList {
  const raw: string[] = [];
  for (const [name, value] of Object.entries(incoming)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) raw.push(name, each);
  }
  return HeaderList.fromRaw(raw);
}
