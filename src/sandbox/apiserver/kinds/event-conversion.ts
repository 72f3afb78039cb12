import { isObject, type JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';

/** [core v1 field, events.k8s.io/v1 field] where the two kinds of Event name the same thing differently. */
const renamed: readonly (readonly [string, string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
];

function rename(
  object: ApiObject,
  apiVersion: string,
  pairs: readonly (readonly [string, string])[],
): ApiObject {
  const map = new Map(pairs);
  const out: JsonObject = {};
  for (const [key, value] of Object.entries(object))
    if (value !== undefined) out[map.get(key) ?? key] = value;
  return { ...out, apiVersion, kind: 'Event', metadata: object.metadata };
}

/** Events are stored in their core form; this is how events.k8s.io/v1 sees them. */
export const coreEventConversion = {
  fromStorage: (o: ApiObject): ApiObject => rename(o, 'events.k8s.io/v1', renamed),
  toStorage: (o: ApiObject): ApiObject => {
    const core = rename(
      o,
      'v1',
      renamed.map(([a, b]) => [b, a] as const),
    );
    if (!isObject(core.involvedObject)) core.involvedObject = {};
    return core;
  },
};
