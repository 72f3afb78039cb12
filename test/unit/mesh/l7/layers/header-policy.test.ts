import { describe, expect, it } from 'vitest';
import { HeaderList } from '#mesh/l7/message/header-list.js';
import {
  prepareRequestHeaders,
  prepareResponseHeaders,
  remoteAddressOf,
} from '#mesh/l7/layers/header-policy.js';
import { backoffMs, defaultRoute } from '#mesh/l7/route/route.js';

describe('request headers', () => {
  it('takes away a claimed certificate and adds an id and the scheme', () => {
    const headers = HeaderList.of(
      ['x-forwarded-client-cert', 'URI=spiffe://a'],
      ['x-forwarded-for', '1.2.3.4'],
    );
    prepareRequestHeaders(headers);
    expect(headers.has('x-forwarded-client-cert')).toBe(false);
    expect(headers.joined('x-request-id')).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-/,
    );
    expect(headers.joined('x-forwarded-proto')).toBe('http');
    expect(headers.joined('x-forwarded-for')).toBe('1.2.3.4');
  });

  it('keeps an id and a scheme that are there', () => {
    const headers = HeaderList.of(['x-request-id', 'abc'], ['x-forwarded-proto', 'https']);
    prepareRequestHeaders(headers);
    expect(headers.toRaw()).toEqual(['x-request-id', 'abc', 'x-forwarded-proto', 'https']);
  });
});

describe('response headers', () => {
  it('names the proxy whatever the backend called itself', () => {
    const headers = HeaderList.of(['server', 'nginx'], ['server', 'twice']);
    prepareResponseHeaders(headers, 12);
    expect(headers.toRaw()).toEqual(['server', 'istio-envoy', 'x-envoy-upstream-service-time', '12']);
  });
});

describe('remoteAddressOf', () => {
  it.each([
    [undefined, '10.0.0.1'],
    ['1.2.3.4', '1.2.3.4'],
    ['9.9.9.9, 1.2.3.4', '1.2.3.4'],
    ['1.2.3.4, nonsense', '10.0.0.1'],
    ['1.2.3.4,', '10.0.0.1'],
    ['fd00::1', 'fd00::1'],
  ])('%j is %s', (value, expected) => {
    const headers = value === undefined ? HeaderList.of() : HeaderList.of(['x-forwarded-for', value]);
    expect(remoteAddressOf(headers, '10.0.0.1')).toBe(expected);
  });

  it('reads repeated lines as one list', () => {
    const headers = HeaderList.of(['x-forwarded-for', '1.1.1.1'], ['x-forwarded-for', '2.2.2.2']);
    expect(remoteAddressOf(headers, '10.0.0.1')).toBe('2.2.2.2');
  });
});

describe('back-off', () => {
  it('grows to ten times its base and is drawn below its limit', () => {
    const most = [1, 2, 3, 4, 5, 60].map((retry) => backoffMs(defaultRoute.retry, retry, 1));
    expect(most).toEqual([25, 75, 175, 250, 250, 250]);
    expect(backoffMs(defaultRoute.retry, 3, 0)).toBe(0);
  });
});
