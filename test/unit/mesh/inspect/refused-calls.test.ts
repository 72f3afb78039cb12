import { describe, expect, it } from 'vitest';
import { refusedCalls } from '#mesh/inspect/status/refused-calls.js';
import type { DumpRefusedAttempt } from '#mesh/inspect/ztunnel-dump.js';

const now = Date.UTC(2026, 0, 1, 12);
const ago = (minutes: number): string => new Date(now - minutes * 60_000).toISOString();

const web = { address: '10.1.0.7', workload: 'web', namespace: 'shop' };
const cart = { address: '10.1.0.9:8080', workload: 'cart', namespace: 'shop' };

function attempt(o: Partial<DumpRefusedAttempt> = {}): DumpRefusedAttempt {
  return {
    direction: 'inbound',
    reason: 'connection closed due to policy rejection: allow policies exist, but none allowed',
    source: web,
    destination: cart,
    count: 1,
    last: ago(1),
    ...o,
  };
}

/** What is told of attempts that one node proxy has. */
function told(...refusedAttempts: DumpRefusedAttempt[]) {
  return refusedCalls([{ node: 'node-1', dump: { refusedAttempts } }], now);
}

describe('refused calls', () => {
  it('name both sides, the proved caller, how often and why', () => {
    const identity = 'spiffe://cluster.local/ns/shop/sa/web';
    expect(told(attempt({ source: { ...web, identity }, count: 3 }))).toEqual([
      {
        from: 'shop/web',
        to: 'shop/cart:8080',
        identity,
        node: 'node-1',
        reason: 'allow policies exist, but none allowed',
        count: 3,
        last: ago(1),
      },
    ]);
  });

  it.each([
    ['shop/only-web', 'denied by AuthorizationPolicy shop/only-web'],
    ['istio-system/istio_converted_static_strict', 'plaintext, and the mode is STRICT'],
    ['shop/converted_peer_authentication_cart', 'plaintext, and the mode is STRICT'],
  ])('denied by %s say so in words', (policy, reason) => {
    const said = `connection closed due to policy rejection: explicitly denied by: ${policy}`;
    expect(told(attempt({ reason: said }))[0]?.reason).toBe(reason);
  });

  it('are those of the last five minutes, the newest first', () => {
    const calls = told(
      attempt({ last: ago(4), reason: 'older' }),
      attempt({ last: ago(6), reason: 'too old' }),
      attempt({ last: ago(2), reason: 'newer' }),
    );
    expect(calls.map(({ reason }) => reason)).toEqual(['newer', 'older']);
  });

  it('are told once when both proxies have them, as the one that refused says it', () => {
    const outbound = attempt({ direction: 'outbound', reason: 'http status 401 Unauthorized' });
    const calls = refusedCalls(
      [
        { node: 'node-1', dump: { refusedAttempts: [outbound] } },
        { node: 'node-2', dump: { refusedAttempts: [attempt()] } },
      ],
      now,
    );
    expect(calls).toMatchObject([{ node: 'node-2', reason: 'allow policies exist, but none allowed' }]);
    expect(told(outbound)).toMatchObject([{ reason: 'http status 401 Unauthorized' }]);
  });

  it('show addresses and services where nobody is known', () => {
    const source = { address: '192.0.2.1' };
    const gone = { address: '10.96.0.7:80', service: 'cart.shop.svc.cluster.local' };
    expect(told(attempt({ source, destination: gone }))[0]).toMatchObject({
      from: '192.0.2.1',
      to: 'cart.shop.svc.cluster.local:80',
    });
    expect(told(attempt({ source, destination: { address: '[fd00::9]:80' } }))[0]?.to).toBe('[fd00::9]:80');
  });
});
