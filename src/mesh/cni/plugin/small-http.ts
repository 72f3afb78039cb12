import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface SmallAnswer {
  readonly status: number;
  readonly body: string;
}

const bodyMaxBytes = 4 * 1024 * 1024;

/** One HTTP exchange on a connection of its own. Rejects on connection errors, timeout and too long a body. */
export function exchange(
  target: { readonly isTls: boolean; readonly options: RequestOptions & { ca?: string } },
  o: { readonly timeoutMs: number; readonly body?: string },
): Promise<SmallAnswer> {
  return new Promise((resolve, reject) => {
    const start = target.isTls ? httpsRequest : httpRequest;
    const headers = {
      ...(target.options.headers as Record<string, string> | undefined),
      ...(o.body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(o.body)) }),
    };
    const options = { ...target.options, headers, agent: false, signal: AbortSignal.timeout(o.timeoutMs) };
    const request = start(options, (response) => {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length;
        if (sizeBytes > bodyMaxBytes) request.destroy(new Error(`answer larger than ${bodyMaxBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
      response.on('error', reject);
    });
    request.on('error', (error) =>
      reject(error.name === 'AbortError' ? new Error(`no answer within ${o.timeoutMs} ms`) : error),
    );
    request.end(o.body);
  });
}
