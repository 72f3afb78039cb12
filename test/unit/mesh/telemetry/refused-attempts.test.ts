import { describe, expect, it } from 'vitest';
import { type FailedConnection, RefusedAttempts } from '#mesh/telemetry/refused-attempts.js';

const minuteMs = 60_000;

function failed(o: Partial<FailedConnection> = {}): FailedConnection {
  return {
    direction: 'inbound',
    sourceAddress: '10.1.0.7:41234',
    source: { workload: 'legacy', namespace: 'outside', clusterId: '' },
    destinationAddress: '10.1.0.9:8080',
    destination: { workload: 'cart', namespace: 'shop', clusterId: '' },
    error: 'connection closed due to policy rejection',
    ...o,
  };
}

/** A record and a clock, in milliseconds since 1970, that stands until it is told to move. */
function recordAt(entriesMax?: number) {
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  const now = () => clock.nowMs;
  return { clock, record: new RefusedAttempts(entriesMax === undefined ? { now } : { entriesMax, now }) };
}

describe('refused attempts', () => {
  it('that are alike are counted, whatever port they came from', () => {
    const { clock, record } = recordAt();
    record.add(failed(), 'DENY');
    clock.nowMs += minuteMs;
    record.add(failed({ sourceAddress: '10.1.0.7:51111' }), 'DENY');
    expect(record.view()).toEqual({
      attempts: [
        {
          direction: 'inbound',
          flag: 'DENY',
          reason: 'connection closed due to policy rejection',
          source: { address: '10.1.0.7', workload: 'legacy', namespace: 'outside' },
          destination: { address: '10.1.0.9:8080', workload: 'cart', namespace: 'shop' },
          count: 2,
          first: '2026-01-01T00:00:00.000Z',
          last: '2026-01-01T00:01:00.000Z',
        },
      ],
      forgotten: 0,
    });
  });

  it.each([
    { error: 'no healthy instance' },
    { direction: 'outbound' as const },
    { sourceAddress: '[fd00::7]:41234' },
    { sourceIdentity: 'spiffe://cluster.local/ns/outside/sa/legacy' },
    { destinationAddress: '10.1.0.9:9090' },
    { service: 'cart.shop.svc.cluster.local' },
  ])('that differ in %o stand apart, the newest first', (difference) => {
    const { record } = recordAt();
    record.add(failed(), 'DENY');
    record.add(failed(difference), 'DENY');
    const { attempts } = record.view();
    expect(attempts.map(({ count }) => count)).toEqual([1, 1]);
    expect(attempts[1]?.source.address).toBe('10.1.0.7');
  });

  it('name IPv6 sources without port and brackets, and the application behind HBONE', () => {
    const { record } = recordAt();
    record.add(
      failed({
        sourceAddress: '[fd00::7]:41234',
        destinationAddress: '10.1.0.9:15008',
        hboneAddress: '10.1.0.9:8080',
      }),
      'DENY',
    );
    expect(record.view().attempts).toMatchObject([
      { source: { address: 'fd00::7' }, destination: { address: '10.1.0.9:8080' } },
    ]);
  });

  it('are gone ten minutes after the last', () => {
    const { clock, record } = recordAt();
    record.add(failed(), 'DENY');
    clock.nowMs += 9 * minuteMs;
    record.add(failed({ error: 'timed out' }), 'CONNECT');
    clock.nowMs += 2 * minuteMs;
    expect(record.view().attempts.map(({ reason }) => reason)).toEqual(['timed out']);
  });

  it('are counted anew after ten quiet minutes', () => {
    const { clock, record } = recordAt();
    record.add(failed(), 'DENY');
    clock.nowMs += 11 * minuteMs;
    record.add(failed(), 'DENY');
    expect(record.view().attempts).toMatchObject([{ count: 1, first: '2026-01-01T00:11:00.000Z' }]);
  });

  it('are bounded: whoever is quiet for longest makes room', () => {
    const { record } = recordAt(3);
    for (const port of [1, 2, 3]) record.add(failed({ destinationAddress: `10.1.0.9:${port}` }), 'CONNECT');
    record.add(failed({ destinationAddress: '10.1.0.9:1' }), 'CONNECT');
    record.add(failed({ destinationAddress: '10.1.0.9:4' }), 'CONNECT');
    const { attempts, forgotten } = record.view();
    expect(attempts.map(({ destination }) => destination.address)).toEqual([
      '10.1.0.9:4',
      '10.1.0.9:1',
      '10.1.0.9:3',
    ]);
    expect(forgotten).toBe(1);
  });

  it('keep a bounded part of what was said', () => {
    const { record } = recordAt();
    record.add(failed({ error: 'x'.repeat(100_000) }), 'CONNECT');
    expect(record.view().attempts[0]?.reason.length).toBe(300);
  });
});
