import { type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { formatHostPort } from '#base/net/authority.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { ProbeHandler } from '#base/kube/types.js';

type HttpGet = NonNullable<ProbeHandler['httpGet']>;

/** How an HTTP probe ended; `isWarning`: a success worth telling. */
export interface HttpProbeResult {
  readonly isSuccess: boolean;
  readonly isWarning?: boolean;
  readonly message: string;
}

const bodyMaxBytes = 10 * 1024;
const redirectsMax = 10;

/**
 * One HTTP GET as kubelet makes it: no certificate is verified, redirects are followed
 * on the same host only, 2xx and 3xx are success. Rejects when there was no answer.
 */
export async function httpProbe(
  get: HttpGet,
  target: {
    host: string;
    port: number;
    timeoutMs: number;
    open: (at: { host: string; port: number; timeoutMs: number }) => Promise<Socket>;
  },
): Promise<HttpProbeResult> {
  const scheme = (get.scheme ?? 'HTTP').toLowerCase();
  const path = get.path === undefined || get.path === '' ? '/' : get.path;
  let url = new URL(`${scheme}://${formatHostPort(target)}${path.startsWith('/') ? path : `/${path}`}`);
  const first = url;
  const deadlineMs = Date.now() + target.timeoutMs;
  for (let redirects = 0; ; redirects += 1) {
    const headers = probeHeaders(get, url);
    const answer = await once(url, { headers, deadlineMs, open: target.open });
    const { status, body } = answer;
    const location = answer.headers.location;
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined) {
      if (status >= 200 && status < 400) return { isSuccess: true, message: body };
      return { isSuccess: false, message: `HTTP probe failed with statuscode: ${status}` };
    }
    const next = new URL(location, url);
    if (next.hostname !== first.hostname)
      return {
        isSuccess: true,
        isWarning: true,
        message: `Probe terminated redirects, Response body: ${body}`,
      };
    if (redirects + 1 >= redirectsMax)
      throw new Error(`Get "${next.href}": stopped after ${redirectsMax} redirects`);
    url = next;
  }
}

function probeHeaders(get: HttpGet, url: URL): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {
    'user-agent': 'kube-probe/1.32',
    accept: '*/*',
    connection: 'close',
  };
  const given = new Map<string, string[]>();
  for (const { name, value } of get.httpHeaders ?? [])
    given.set(name.toLowerCase(), [...(given.get(name.toLowerCase()) ?? []), value]);
  for (const [name, values] of given) {
    // An empty Accept or User-Agent asks for none.
    if (values.join('') === '' && name in headers) Reflect.deleteProperty(headers, name);
    else headers[name] = values.length === 1 ? (values[0] ?? '') : values;
  }
  headers['host'] ??= url.host;
  return headers;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function once(
  url: URL,
  o: {
    headers: Record<string, string | string[]>;
    deadlineMs: number;
    open: (at: { host: string; port: number; timeoutMs: number }) => Promise<Socket>;
  },
): Promise<Answer> {
  const isTls = url.protocol === 'https:';
  const at = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || (isTls ? 443 : 80)) };
  const shown = `${url.protocol}//${url.host}${url.pathname}${url.search}`;
  const leftMs = Math.max(1, o.deadlineMs - Date.now());
  const plain = await o.open({ ...at, timeoutMs: leftMs }).catch((error: unknown) => {
    throw new Error(`Get "${shown}": ${messageOf(error)}`, { cause: error });
  });
  // A probe asks whether the server answers, not who it is: kubelet verifies no certificate either.
  const socket = isTls ? tlsConnect({ socket: plain, rejectUnauthorized: false }) : plain;
  return new Promise((resolve, reject) => {
    const finish = (then: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      plain.destroy();
      then();
    };
    const fail = (message: string): void => finish(() => reject(new Error(`Get "${shown}": ${message}`)));
    const timer = setTimeout(
      () => fail('context deadline exceeded (Client.Timeout exceeded while awaiting headers)'),
      Math.max(1, o.deadlineMs - Date.now()),
    );
    const request = httpRequest(
      { path: `${url.pathname}${url.search}`, headers: o.headers, createConnection: () => socket },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          if (body.length < bodyMaxBytes) body += chunk.toString('latin1');
          else response.destroy();
        });
        response.on('error', () => undefined); // the status has been seen; the body is only a message
        response.on('close', () =>
          finish(() =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: body.slice(0, bodyMaxBytes),
            }),
          ),
        );
      },
    );
    request.on('error', (error: NodeJS.ErrnoException) =>
      fail(error.code === 'ECONNRESET' ? 'EOF' : error.message),
    );
    request.end();
  });
}
