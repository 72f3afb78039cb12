import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetnsHandle } from '#mesh/cni/netns-handle.js';
import { type SnapshotEntry, ZdsServer } from '#mesh/cni/zds/zds-server.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import { connectSeqpacket } from '#mesh/system/seqpacket.js';
import { eventually } from './test-netns.js';
import { TestZtunnel } from './test-ztunnel.js';

const workload = (uid: string) => ({ uid, name: `pod-${uid}`, namespace: 'demo', serviceAccount: 'sa' });

describe('ZDS server', () => {
  let dir: string;
  let path: string;
  let snapshot: SnapshotEntry[];
  let server: ZdsServer;
  let netns: NetnsHandle;
  const proxies: TestZtunnel[] = [];
  const connectionCounts: number[] = [];

  const start = (o: { ackMs?: number; ready?: Promise<void> } = {}): void => {
    server = new ZdsServer({
      path,
      snapshot: () => snapshot,
      ready: o.ready ?? Promise.resolve(),
      log: createLogger('zds'),
      timeouts: { sendMs: 200, ackMs: o.ackMs ?? 2_000, helloMs: 300 },
      onConnections: (count) => connectionCounts.push(count),
    });
    server.listen();
  };
  const connect = async (answer?: TestZtunnel['answer']): Promise<TestZtunnel> => {
    const proxy = new TestZtunnel();
    if (answer !== undefined) proxy.answer = answer;
    proxies.push(proxy);
    await proxy.connect(path);
    return proxy;
  };

  beforeEach(() => {
    setLogOutput(() => undefined);
    dir = mkdtempSync(join(tmpdir(), 'zds-'));
    path = join(dir, 'ztunnel.sock');
    snapshot = [];
    connectionCounts.length = 0;
    // Any namespace will do: the test process' own.
    netns = NetnsHandle.open('/proc/self/ns/net');
  });
  afterEach(() => {
    for (const proxy of proxies.splice(0)) proxy.close();
    server.close();
    netns.release();
    rmSync(dir, { recursive: true });
  });

  it('sends the whole snapshot with namespaces, then its end', async () => {
    snapshot = [
      { workload: workload('a'), netns },
      { workload: workload('b'), netns: undefined },
    ];
    start();
    const proxy = await connect();
    await eventually(() => server.connectionCount === 1);
    expect(proxy.seen).toEqual([`add a ${netns.inode}`, 'keep b', 'snapshot']);
    expect(proxy.workloads).toEqual(['demo/pod-a/sa']);
    expect(connectionCounts).toEqual([1]);
  });

  it('replaces a stale socket, keeps it private and removes it at the end', async () => {
    writeFileSync(path, '');
    start();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await connect();
    await eventually(() => server.connectionCount === 1);
    server.close();
    expect(existsSync(path)).toBe(false);
  });

  it('lets a proxy wait until the agent knows its pods', async () => {
    let open: () => void = () => undefined;
    start({ ready: new Promise((resolve) => (open = resolve)) });
    const proxy = await connect();
    snapshot = [{ workload: workload('late'), netns }];
    open();
    await eventually(() => proxy.seen.includes('snapshot'));
    expect(proxy.seen[0]).toBe(`add late ${netns.inode}`);
  });

  it('adds to the newest proxy only and deletes at all', async () => {
    start();
    const older = await connect();
    await eventually(() => server.connectionCount === 1);
    const newer = await connect();
    await eventually(() => server.connectionCount === 2);
    await server.add(workload('x'), netns);
    await server.del('x');
    expect(newer.seen).toEqual(['snapshot', `add x ${netns.inode}`, 'del x']);
    expect(older.seen).toEqual(['snapshot', 'del x']);
  });

  it('falls back to the older proxy when the newer one goes', async () => {
    start();
    const older = await connect();
    await eventually(() => server.connectionCount === 1);
    const newer = await connect();
    await eventually(() => server.connectionCount === 2);
    newer.close();
    await eventually(() => server.connectionCount === 1);
    await server.add(workload('x'), netns);
    expect(older.seen.at(-1)).toBe(`add x ${netns.inode}`);
  });

  it('rejects an add with the text of the proxy, and with MESH0705 when there is none', async () => {
    start();
    await expect(server.add(workload('x'), netns)).rejects.toMatchObject({ code: 'MESH0705' });
    await connect((seen) => (seen.startsWith('add') ? 'address in use' : ''));
    await eventually(() => server.connectionCount === 1);
    await expect(server.add(workload('x'), netns)).rejects.toThrow('address in use');
    expect(server.connectionCount).toBe(1);
  });

  it('counts a proxy as connected although it refused a pod of the snapshot', async () => {
    snapshot = [{ workload: workload('a'), netns }];
    start();
    await connect((seen) => (seen.startsWith('add') ? 'no' : ''));
    await eventually(() => server.connectionCount === 1);
  });

  it('ends a connection whose acknowledgement does not come', async () => {
    start({ ackMs: 100 });
    const proxy = await connect((seen) => (seen.startsWith('add') ? undefined : ''));
    await eventually(() => server.connectionCount === 1);
    await expect(server.add(workload('x'), netns)).rejects.toThrow(/no acknowledgement within/);
    await eventually(() => proxy.isEnded && server.connectionCount === 0);
    await expect(server.add(workload('x'), netns)).rejects.toMatchObject({ code: 'MESH0705' });
  });

  it('ends a connection on a message nobody asked for and on a bad hello', async () => {
    start();
    const proxy = await connect();
    await eventually(() => server.connectionCount === 1);
    await proxy.sendRaw(Buffer.from('surprise'));
    await eventually(() => proxy.isEnded && server.connectionCount === 0);

    const mute = await connectSeqpacket(path);
    expect(await mute.receive()).toBeUndefined();
    mute.close();
    const wrong = await connectSeqpacket(path);
    await wrong.send(Buffer.from([8, 9]));
    expect(await wrong.receive()).toBeUndefined();
    wrong.close();
  });

  it('queues live changes behind the snapshot of a connecting proxy', async () => {
    snapshot = [{ workload: workload('a'), netns }];
    start();
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const proxy = await connect(async (seen) => {
      if (seen.startsWith('add a')) await gate;
      return '';
    });
    await eventually(() => proxy.seen.length === 1);
    const added = server.add(workload('b'), netns);
    const deleted = server.del('a');
    release();
    await Promise.all([added, deleted]);
    expect(proxy.seen).toEqual([`add a ${netns.inode}`, 'snapshot', `add b ${netns.inode}`, 'del a']);
  });

  it('keeps a namespace open while it is being sent', async () => {
    start();
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    await connect(async (seen) => {
      if (seen.startsWith('add')) await gate;
      return '';
    });
    await eventually(() => server.connectionCount === 1);
    const mine = NetnsHandle.open('/proc/self/ns/net');
    const added = server.add(workload('x'), mine);
    mine.release();
    expect(mine.isClosed).toBe(false);
    release();
    await added;
    expect(mine.isClosed).toBe(true);
  });
});
