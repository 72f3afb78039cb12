import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { decode, encode } from 'dns-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpointSlices, services } from '#base/kube/resource.js';
import { type DnsServer, publishDnsService, startDns } from '#sandbox/cluster/index.js';
import { freePort } from '../tool/built-tool.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

describe('cluster DNS', () => {
  let plane: ControlPlane;
  let dns: DnsServer;
  let port: number;
  const stop = new AbortController();
  const resolver = new Resolver({ timeout: 1000, tries: 1 });

  beforeAll(async () => {
    plane = await startControlPlane({ nodes: [], controllers: false });
    port = await freePort();
    dns = await startDns({ client: plane.client, signal: stop.signal, listen: { host: '127.0.0.1', port } });
    await dns.ready;
    resolver.setServers([`127.0.0.1:${port}`]);
  });
  afterAll(async () => {
    stop.abort();
    await dns.done;
    await plane.close();
  });

  it('answers for services as they come and go', async () => {
    expect(await resolver.resolve4('kubernetes.default.svc.cluster.local')).toEqual(['10.96.0.1']);
    await publishDnsService({ client: plane.client, clusterIp: '10.96.0.10', address: '192.0.2.53', port });
    await publishDnsService({ client: plane.client, clusterIp: '10.96.0.10', address: '192.0.2.53', port });
    await eventually(
      async () => {
        const found = await resolver.resolve4('kube-dns.kube-system.svc.cluster.local').catch(() => []);
        return found[0] === '10.96.0.10' ? true : undefined;
      },
      { what: 'kube-dns by name' },
    );
    await plane.client.delete({ resource: services, name: 'kube-dns', namespace: 'kube-system' });
    await eventually(
      async () => {
        const error = await resolver.resolve4('kube-dns.kube-system.svc.cluster.local').then(
          () => undefined,
          (e: unknown) => (e as { code?: string }).code,
        );
        return error === 'ENOTFOUND' ? true : undefined;
      },
      { what: 'NXDOMAIN' },
    );
  });

  it('says at once that names of other zones do not exist', async () => {
    await expect(resolver.resolve4('example.org')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });

  it('sends what does not fit UDP over TCP', async () => {
    const namespace = 'default';
    await plane.client.create(
      services,
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'big', namespace },
        spec: { clusterIP: 'None' },
      },
      { namespace },
    );
    await plane.client.create(
      endpointSlices,
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'big-1', namespace, labels: { 'kubernetes.io/service-name': 'big' } },
        addressType: 'IPv4',
        endpoints: Array.from({ length: 100 }, (_, i) => ({
          addresses: [`10.244.3.${i + 1}`],
          conditions: { ready: true },
        })),
        ports: [],
      },
      { namespace },
    );
    // c-ares turns to TCP when the answer over UDP is truncated.
    await eventually(
      async () => {
        const found = await resolver.resolve4('big.default.svc.cluster.local').catch(() => []);
        return found.length === 100 ? true : undefined;
      },
      { what: 'a hundred addresses' },
    );
  });

  it('answers several TCP queries in pieces, and drops senders of junk', async () => {
    const query = encode({
      type: 'query',
      id: 9,
      questions: [{ type: 'A', name: 'kubernetes.default.svc.cluster.local' }],
    });
    const framed = Buffer.concat([Buffer.from([0, query.length]), query]);
    const socket = connect({ host: '127.0.0.1', port });
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
    socket.write(framed.subarray(0, 5));
    socket.write(Buffer.concat([framed.subarray(5), framed]));
    await eventually(
      () =>
        Promise.resolve(
          received.length > 0 && received.length >= 2 * (2 + received.readUInt16BE(0)) ? true : undefined,
        ),
      {
        what: 'two answers',
      },
    );
    expect(decode(received.subarray(2, 2 + received.readUInt16BE(0))).id).toBe(9);
    let isClosed = false;
    socket.once('close', () => (isClosed = true));
    socket.write(Buffer.from([0xff, 0xff, 1, 2, 3]));
    await eventually(() => Promise.resolve(isClosed ? true : undefined), { what: 'closed' });
  });
});
