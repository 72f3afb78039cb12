import { currentLogLevel, logScopes, setLogLevel } from '#base/telemetry/log.js';
import type { Answer, Handler } from './http-server.js';

const usage =
  'usage: POST /logging\t(to show the current level)\n' +
  'POST /logging?level=<level>\t(off, error, warn, info, debug, trace)\n' +
  'POST /logging?level=<scope>=<level>,<scope>=<level>\n' +
  'POST /logging?reset\t(back to the default)\n';

const index =
  '<!doctype html><title>admin</title><ul>' +
  '<li><a href="/config_dump">/config_dump</a>' +
  '<li>/logging (POST)<li>/quitquitquit (POST)</ul>\n';

/** Routes of a proxy's admin port: state dump, refused connections, log levels, shutdown. */
export function adminHandler(deps: {
  dump: () => unknown;
  quit: () => void;
  /** Connections that were refused of late; the path is there only in programs that keep them. */
  refusedAttempts?: () => unknown;
}): Handler {
  return (request, url) => {
    switch (url.pathname) {
      case '/':
        return { status: 200, contentType: 'text/html; charset=utf-8', body: index };
      case '/config_dump':
        return json(deps.dump());
      case '/debug/attempts':
        return deps.refusedAttempts === undefined ? undefined : json(deps.refusedAttempts());
      case '/logging':
        return request.method === 'POST' ? logging(url.searchParams) : methodNotAllowed;
      case '/quitquitquit':
        if (request.method !== 'POST') return methodNotAllowed;
        setImmediate(deps.quit);
        return { status: 200, body: 'shutdown now\n' };
      default:
        return undefined;
    }
  };
}

function json(value: unknown): Answer {
  return { status: 200, contentType: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

const methodNotAllowed: Answer = { status: 405, body: 'Invalid HTTP method\n' };

function logging(query: URLSearchParams): Answer {
  const level = query.get('level');
  const reset = query.has('reset');
  if (level !== null || reset) {
    const offending = setLogLevel(level ?? '', { reset, known: true });
    if (offending !== undefined) {
      const body = `invalid level ${offending}\n${usage}scopes: ${logScopes().join(', ')}\n`;
      return { status: 400, body };
    }
  }
  return { status: 200, body: `current log level is ${currentLogLevel()}\n` };
}
