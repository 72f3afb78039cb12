import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Exchange, ResponseHead } from '#mesh/l7/message/exchange.js';
import { HeaderList } from '#mesh/l7/message/header-list.js';
import {
  isGrpc,
  type LocalReply,
  noHealthyUpstream,
  rbacDenied,
  sendLocalReply,
  upstreamReset,
} from '#mesh/l7/message/local-reply.js';

/** An exchange that keeps what is sent; the client's side is not part of these tests. */
function send(reply: LocalReply, options: { method?: string; contentType?: string } = {}) {
  const out = new PassThrough();
  const heads: { head: ResponseHead; isEmpty: boolean }[] = [];
  const exchange: Exchange = {
    version: '1.1',
    method: options.method ?? 'GET',
    target: '/',
    authority: 'web',
    headers: HeaderList.of(
      ...(options.contentType === undefined ? [] : [['content-type', options.contentType] as const]),
    ),
    body: undefined,
    expectsContinue: false,
    upgrade: undefined,
    isStarted: false,
    requestTrailers: () => [],
    sendContinue: () => undefined,
    sendHead: (head, isEmpty) => heads.push({ head, isEmpty }),
    out,
    finish: () => out.end(),
    switchProtocols: () => {
      throw new Error('not asked for');
    },
    reset: () => undefined,
    onBroken: () => undefined,
    onEnd: () => undefined,
  };
  const sent = sendLocalReply(exchange, reply);
  const [first] = heads;
  if (first === undefined) throw new Error('no head was sent');
  return {
    sent,
    status: first.head.status,
    headers: first.head.headers,
    isEmpty: first.isEmpty,
    body: String(out.read() ?? ''),
  };
}

describe('local replies', () => {
  it('refuses with the nineteen bytes everybody compares with', () => {
    const { status, headers, body, sent } = send(rbacDenied('rbac_access_denied_matched_policy[none]'));
    expect([status, body, body.length]).toEqual([403, 'RBAC: access denied', 19]);
    expect(headers.joined('content-type')).toBe('text/plain');
    expect(headers.joined('content-length')).toBe('19');
    expect(headers.joined('server')).toBe('istio-envoy');
    expect(sent).toMatchObject({ status: 403, bodyBytes: 19, grpcStatus: undefined });
  });

  it('says what is known about endpoints', () => {
    expect(send(noHealthyUpstream)).toMatchObject({ status: 503, body: 'no healthy upstream' });
    expect(noHealthyUpstream.flags).toEqual(['UH']);
  });

  it('has a head but no body for HEAD, and neither type nor body for an empty reply', () => {
    const head = send(noHealthyUpstream, { method: 'HEAD' });
    expect([head.isEmpty, head.body, head.headers.joined('content-length')]).toEqual([true, '', '19']);
    const empty = send({ status: 404, body: '', flags: ['NR'], details: 'route_not_found' });
    expect([
      empty.isEmpty,
      empty.headers.has('content-type'),
      empty.headers.joined('content-length'),
    ]).toEqual([true, false, '0']);
  });

  it.each([
    [400, '13'],
    [401, '16'],
    [403, '7'],
    [404, '12'],
    [429, '14'],
    [502, '14'],
    [503, '14'],
    [504, '14'],
    [431, '2'],
    [500, '2'],
  ])('tells gRPC of %i as status %s under 200', (status, grpcStatus) => {
    const reply = { status, body: 'no: 100% \u00e9\n', flags: [], details: '' };
    const sent = send(reply, { contentType: 'application/grpc+proto' });
    expect([sent.status, sent.isEmpty, sent.body]).toEqual([200, true, '']);
    expect(sent.headers.joined('grpc-status')).toBe(grpcStatus);
    expect(sent.headers.joined('content-type')).toBe('application/grpc');
    expect(sent.headers.joined('grpc-message')).toBe('no: 100%25 %C3%A9%0A');
  });

  it.each([
    ['application/grpc', true],
    ['application/grpc+json', true],
    ['Application/gRPC; charset=x', true],
    ['application/grpc-web', false],
    ['application/json', false],
    ['', false],
  ])('%s is gRPC: %s', (type, expected) => {
    expect(isGrpc(HeaderList.of(['content-type', type]))).toBe(expected);
  });
});

describe('upstreamReset', () => {
  const base = { transportFailure: undefined, retryCount: 0, flags: ['UF'] };

  it.each([
    [{ reason: 'remote connection failure' as const }, 'reset reason: remote connection failure'],
    [{ reason: 'connection termination' as const }, 'reset reason: connection termination'],
    [
      { reason: 'connection timeout' as const, retryCount: 2 },
      'retried and the latest reset reason: connection timeout',
    ],
    [
      { reason: 'remote connection failure' as const, transportFailure: 'refused' },
      'reset reason: remote connection failure, transport failure reason: refused',
    ],
  ])('%o', (change, text) => {
    expect(upstreamReset({ ...base, ...change })).toMatchObject({
      status: 503,
      body: `upstream connect error or disconnect/reset before headers. ${text}`,
      flags: ['UF'],
    });
  });

  it('marks overload, and a backend that speaks nonsense', () => {
    expect(upstreamReset({ ...base, reason: 'overflow' }).headers).toEqual([['x-envoy-overloaded', 'true']]);
    expect(upstreamReset({ ...base, reason: 'protocol error' }).status).toBe(502);
    expect(upstreamReset({ ...base, reason: 'remote reset' }).details).toBe(
      'upstream_reset_before_response_started{remote_reset}',
    );
  });
});
