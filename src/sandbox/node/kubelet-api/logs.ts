import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import type { ContainerTarget, KubeletGateway } from '../../base/kubelet-gateway.js';

/** Streams a container's log. Rejects, with nothing sent, when there is none. */
export async function serveLogs(
  response: ServerResponse,
  o: { readonly gateway: KubeletGateway; readonly target: ContainerTarget; readonly query: URLSearchParams },
): Promise<void> {
  const { gateway, target, query } = o;
  const number = (name: string): number | undefined => {
    const value = Number(query.get(name) ?? Number.NaN);
    return Number.isInteger(value) ? value : undefined;
  };
  const flag = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '');
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const isFollowed = flag('follow');
  // Headers go out with the first byte, so that a refusal can still be one.
  const begin = (): void => {
    if (response.headersSent) return;
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
  };
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, callback) => {
      begin();
      if (response.destroyed || response.write(chunk)) callback();
      else void Promise.race([once(response, 'drain'), once(response, 'close')]).then(() => callback());
    },
  });
  const request = {
    ...target,
    follow: isFollowed,
    tailLines: number('tailLines'),
    sinceSeconds: number('sinceSeconds'),
    sinceTime: query.get('sinceTime') ?? undefined,
    previous: flag('previous'),
    timestamps: flag('timestamps'),
    limitBytes: number('limitBytes'),
  };
  // A follower without output yet must see that it is connected.
  const announced = isFollowed ? setTimeout(begin, announceMs) : undefined;
  try {
    await gateway.logs(request, sink, gone.signal);
  } finally {
    clearTimeout(announced);
  }
  begin();
  sink.end(() => response.end());
}

const announceMs = 200;
