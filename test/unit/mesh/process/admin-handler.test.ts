import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { createLogger, currentLogLevel, setLogLevel } from '#base/telemetry/log.js';
import { adminHandler } from '#mesh/process/admin-handler.js';

createLogger('access');
const handler = adminHandler({ dump: () => ({}), quit: () => undefined });

async function logging(query: string): Promise<{ status: number; body: string }> {
  const request = { method: 'POST' } as IncomingMessage;
  const answer = await handler(request, new URL(`http://localhost/logging${query}`));
  return { status: answer?.status ?? 0, body: String(answer?.body) };
}

describe('log levels', () => {
  it('are set for scopes that exist', async () => {
    setLogLevel('info', { reset: true });
    expect(await logging('?level=access=debug')).toEqual({
      status: 200,
      body: 'current log level is access=debug,info\n',
    });
  });

  it.each(['bogus=debug', 'debug,bogus:trace', 'access=loud'])(
    'refuse %s, and nothing changes',
    async (level) => {
      setLogLevel('info', { reset: true });
      const { status, body } = await logging(`?level=${level}`);
      expect(status).toBe(400);
      expect(body).toContain('access');
      expect(currentLogLevel()).toBe('info');
    },
  );
});
