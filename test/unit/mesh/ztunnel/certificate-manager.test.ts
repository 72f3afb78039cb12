import { describe, expect, test } from 'vitest';
import type { CertificateSource } from '#mesh/identity/ca-client.js';
import { CertificateManager } from '#mesh/identity/certificate-manager.js';
import type { Clock } from '#mesh/identity/clock.js';
import type { Credentials } from '#mesh/identity/credentials.js';
import { formatSpiffeId, type SpiffeId } from '#mesh/identity/spiffe.js';

const hourMs = 3_600_000;
const web = formatSpiffeId({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' });

/** Time that moves when the test says so. */
class ManualClock implements Clock {
  private timeMs = 1_000_000;
  private timers: { atMs: number; fire: () => void }[] = [];

  now(): number {
    return this.timeMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    const timer = { atMs: this.timeMs + delayMs, fire };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((t) => t !== timer);
    };
  }

  get delays(): number[] {
    return this.timers.map((t) => t.atMs - this.timeMs);
  }

  async advance(ms: number): Promise<void> {
    this.timeMs += ms;
    const due = this.timers.filter((t) => t.atMs <= this.timeMs);
    this.timers = this.timers.filter((t) => t.atMs > this.timeMs);
    for (const timer of due) timer.fire();
    await settle();
  }
}

/** Lets every promise that can go on go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** An authority whose answers the test decides; not one of our interfaces' production halves. */
class Authority implements CertificateSource {
  readonly asked: SpiffeId[] = [];
  failure: Error | undefined;
  holding: (() => void)[] | undefined;

  constructor(private readonly clock: Clock) {}

  async fetch(identity: SpiffeId): Promise<Credentials> {
    this.asked.push(identity);
    const { holding } = this;
    if (holding !== undefined) await new Promise<void>((resolve) => holding.push(resolve));
    if (this.failure !== undefined) throw this.failure;
    const notBeforeMs = this.clock.now();
    return {
      identity,
      certChainPem: '',
      keyPem: '',
      rootsPem: '',
      chain: [],
      roots: [],
      notBeforeMs,
      notAfterMs: notBeforeMs + 24 * hourMs,
    };
  }
}

function setup() {
  const clock = new ManualClock();
  const authority = new Authority(clock);
  const manager = new CertificateManager({ source: authority, clock, random: () => 0.5 });
  return { clock, authority, manager };
}

describe('the certificate manager', () => {
  test('signs once for many callers', async () => {
    const { authority, manager } = setup();
    const all = await Promise.all([manager.get(web), manager.get(web), manager.get(web)]);
    expect(new Set(all).size).toBe(1);
    expect(authority.asked).toEqual([web]);
    expect(manager.states()[0]?.state).toBe('Available');
  });

  test('renews at half of the lifetime', async () => {
    const { clock, authority, manager } = setup();
    const first = await manager.get(web);
    expect(clock.delays).toEqual([12 * hourMs]);
    await clock.advance(12 * hourMs);
    expect(authority.asked).toHaveLength(2);
    expect(await manager.get(web)).not.toBe(first);
  });

  test('keeps the old certificate while renewal fails, but not past its expiry', async () => {
    const { clock, authority, manager } = setup();
    const first = await manager.get(web);
    authority.failure = new Error('authority is away');
    await clock.advance(12 * hourMs);
    expect(await manager.get(web)).toBe(first);
    expect(manager.states()[0]?.state).toBe('Available');
    await clock.advance(12 * hourMs);
    await expect(manager.get(web)).rejects.toThrow('authority is away');
    expect(manager.states()[0]?.state).toBe('Unavailable: authority is away');
    expect(manager.peek(web)).toBeUndefined();
  });

  test('tells callers at once while it backs off, doubling up to a limit', async () => {
    const { clock, authority, manager } = setup();
    authority.failure = new Error('refused');
    await expect(manager.get(web)).rejects.toThrow('refused');
    const delays: number[] = [];
    for (let i = 0; i < 10; i++) {
      const delay = clock.delays[0] ?? 0;
      delays.push(delay);
      await expect(manager.get(web)).rejects.toThrow('refused');
      await clock.advance(delay);
    }
    expect(authority.asked).toHaveLength(11);
    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 150, 150].map((s) => s * 1_000));
    authority.failure = undefined;
    await clock.advance(150_000);
    expect((await manager.get(web)).identity).toBe(web);
  });

  test('signs at most eight at a time, waiting connections before prefetches', async () => {
    const { authority, manager } = setup();
    const id = (n: number) =>
      formatSpiffeId({ trustDomain: 'td', namespace: 'ns', serviceAccount: `sa${n}` });
    authority.holding = [];
    for (let n = 0; n < 12; n++) manager.prefetch(id(n));
    expect(authority.asked).toHaveLength(8);
    const urgent = manager.get(web);
    authority.holding.shift()?.();
    await settle();
    expect(authority.asked[8]).toBe(web);
    const waiting = authority.holding;
    authority.holding = undefined;
    for (const release of waiting) release();
    expect((await urgent).identity).toBe(web);
    await settle();
    expect(authority.asked).toHaveLength(13);
  });

  test('forgets an identity and its timer', async () => {
    const { clock, manager } = setup();
    await manager.get(web);
    manager.forget(web);
    expect(clock.delays).toEqual([]);
    expect(manager.states()).toEqual([]);
  });

  test('a caller may give up waiting', async () => {
    const { authority, manager } = setup();
    authority.holding = [];
    const gone = new AbortController();
    const waiting = manager.get(web, gone.signal);
    gone.abort(new Error('hung up'));
    await expect(waiting).rejects.toThrow('hung up');
  });
});
