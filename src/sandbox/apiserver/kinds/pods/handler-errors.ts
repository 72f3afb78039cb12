import { isObject, type Json, type JsonObject, numberOf, stringOf } from '../../../base/json.js';
import { at, type Checks, isUnset } from '../validation/checks.js';

const probeHandlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'] as const;
const hookHandlers = ['exec', 'httpGet', 'tcpSocket', 'sleep'] as const;
const httpHeaderName = /^[-A-Za-z0-9]+$/;

function httpGetErrors(checks: Checks, get: JsonObject, path: string): void {
  if (isUnset(get.path)) checks.required(at(path, 'path'));
  checks.portOrName(get.port, at(path, 'port'));
  checks.oneOf(get.scheme, at(path, 'scheme'), ['HTTP', 'HTTPS']);
  checks.each(get.httpHeaders, at(path, 'httpHeaders'), (header) => {
    if (!httpHeaderName.test(stringOf(header.name))) {
      checks.invalid(
        at(path, 'httpHeaders'),
        header.name ?? '',
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
      );
    }
  });
}

function handlerErrors(
  checks: Checks,
  holder: JsonObject,
  path: string,
  kinds: readonly string[],
  graceSeconds: number,
): void {
  const given = kinds.filter((k) => isObject(holder[k]));
  if (given.length === 0) checks.required(path, 'must specify a handler type');
  given.forEach((kind, i) => {
    const handler = holder[kind];
    const where = at(path, kind);
    if (i > 0) {
      checks.forbidden(where, 'may not specify more than 1 handler type');
      return;
    }
    if (!isObject(handler)) return;
    switch (kind) {
      case 'exec':
        if (!Array.isArray(handler.command) || handler.command.length === 0)
          checks.required(at(where, 'command'));
        break;
      case 'httpGet':
        httpGetErrors(checks, handler, where);
        break;
      case 'sleep': {
        const seconds = numberOf(handler.seconds) ?? 0;
        if (seconds <= 0 || seconds > graceSeconds) {
          checks.invalid(
            where,
            seconds,
            `must be greater than 0 and less than terminationGracePeriodSeconds (${graceSeconds})`,
          );
        }
        break;
      }
      default:
        checks.portOrName(handler.port, at(where, 'port'));
    }
  });
}

/** A probe of a container; absent is fine. */
export function probeErrors(
  checks: Checks,
  probe: Json | undefined,
  path: string,
  kind: 'liveness' | 'readiness' | 'startup',
): void {
  if (!isObject(probe)) return;
  handlerErrors(checks, probe, path, probeHandlers, 0);
  for (const key of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ])
    checks.nonNegative(probe[key], at(path, key));
  const grace = numberOf(probe.terminationGracePeriodSeconds);
  if (kind === 'readiness') {
    if (grace !== undefined)
      checks.invalid(at(path, 'terminationGracePeriodSeconds'), grace, 'must not be set for readinessProbes');
    return;
  }
  if (grace !== undefined && grace <= 0)
    checks.invalid(at(path, 'terminationGracePeriodSeconds'), grace, 'must be greater than 0');
  if (probe.successThreshold !== 1)
    checks.invalid(at(path, 'successThreshold'), probe.successThreshold, 'must be 1');
}

/** postStart and preStop. `graceSeconds` is what the pod has to stop in. */
export function lifecycleErrors(
  checks: Checks,
  lifecycle: Json | undefined,
  path: string,
  graceSeconds: number,
): void {
  if (!isObject(lifecycle)) return;
  for (const hook of ['postStart', 'preStop']) {
    checks.within(lifecycle[hook], at(path, hook), (handler, where) => {
      handlerErrors(checks, handler, where, hookHandlers, graceSeconds);
    });
  }
}
