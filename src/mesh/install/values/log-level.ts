import { isMap, type ValueMap, valueAt } from '../../templates/values.js';

const path = ['values', 'global', 'logging', 'level'] as const;

/**
 * The values with the log level written as all components read it: the default level first and bare, then scopes.
 * Upstream's charts take `default:debug` and `debug` alike (ztunnel and istiod, `values.global.logging.level`).
 */
export function withPlainLogLevel(spec: ValueMap): ValueMap {
  const level = valueAt(spec, path);
  if (typeof level !== 'string' || !/[:,]/.test(level)) return spec;
  const parts = level.split(',').map((part) => part.trim());
  const isDefault = (part: string): boolean => part.startsWith('default:') || !part.includes(':');
  const ofAll = parts.find(isDefault)?.replace('default:', '') ?? 'info';
  return assignAt(spec, path, [ofAll, ...parts.filter((part) => !isDefault(part))].join(','));
}

function assignAt(map: ValueMap, [step = '', ...rest]: readonly string[], value: string): ValueMap {
  const inner = map[step];
  return { ...map, [step]: rest.length === 0 ? value : assignAt(isMap(inner) ? inner : {}, rest, value) };
}
