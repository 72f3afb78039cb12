import { expect, it } from 'vitest';
import { environmentProxy } from '#base/kube/kubeconfig/environment-proxy.js';

const server = 'https://api.corp.example:6443';
const proxy = 'http://proxy.example:3128';

it.each([
  ['named', { HTTPS_PROXY: proxy }, proxy],
  ['in lower case', { https_proxy: proxy }, proxy],
  ['without a scheme', { HTTPS_PROXY: 'proxy.example:3128' }, proxy],
  ['for the other scheme', { HTTP_PROXY: proxy }, undefined],
  ['empty', { HTTPS_PROXY: '' }, undefined],
  ['exempt: the host', { HTTPS_PROXY: proxy, NO_PROXY: 'a, api.corp.example' }, undefined],
  ['exempt: its domain', { HTTPS_PROXY: proxy, NO_PROXY: '.corp.example' }, undefined],
  ['exempt: its domain without a dot', { HTTPS_PROXY: proxy, no_proxy: 'corp.example' }, undefined],
  ['exempt: host and port', { HTTPS_PROXY: proxy, NO_PROXY: 'api.corp.example:6443' }, undefined],
  ['exempt: another port', { HTTPS_PROXY: proxy, NO_PROXY: 'api.corp.example:443' }, proxy],
  ['exempt: a name that only ends alike', { HTTPS_PROXY: proxy, NO_PROXY: 'orp.example' }, proxy],
  ['exempt: everything', { HTTPS_PROXY: proxy, NO_PROXY: '*' }, undefined],
])('%s', (_, env, wanted) => expect(environmentProxy(server, env)).toBe(wanted));

it('is not asked for this machine, nor for what is no address', () => {
  for (const own of ['https://127.0.0.1:6443', 'https://localhost:6443', 'https://[::1]:6443', 'nonsense']) {
    expect(environmentProxy(own, { HTTPS_PROXY: proxy })).toBeUndefined();
  }
});
