import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { withLinksBehind } from '#sandbox/apiserver/proxy/html-links.js';
import { pageStream } from '#sandbox/apiserver/proxy/html-stream.js';

const at = { prefix: '/api/v1/x/proxy', hosts: ['10.0.0.1:80'] };

describe('links of proxied pages', () => {
  it.each([
    ['<a href="/x">t</a>', '<a href="/api/v1/x/proxy/x">t</a>'],
    ["<IMG alt='>' SRC='/i.png'/>", "<IMG alt='>' SRC='/api/v1/x/proxy/i.png'/>"],
    ['<a class=b href=/x?y=1&amp;z>', '<a class=b href=/api/v1/x/proxy/x?y=1&amp;z>'],
    ['<a href="http://10.0.0.1:80/x">', '<a href="http://10.0.0.1:80/api/v1/x/proxy/x">'],
    [
      '<script src="/s.js">"<a href=\'/x\'>"</script>',
      '<script src="/api/v1/x/proxy/s.js">"<a href=\'/x\'>"</script>',
    ],
  ])('%s leads behind the proxy', (page, expected) => {
    expect(withLinksBehind(page, at)).toBe(expected);
  });

  it.each([
    '<a href="x">',
    '<a href="//elsewhere/x">',
    '<a href="https://elsewhere/x">',
    '<a href="/api/v1/x/proxy/x">',
    '<a title="/x">',
    '<p href="/x">',
    '<!-- <a href="/x"> -->',
    '1 < 2 and <a href="/x"',
  ])('%s stays', (page) => {
    expect(withLinksBehind(page, at)).toBe(page);
  });

  it('are found in packed pages, and not in anything else', async () => {
    const headers = { 'content-type': 'text/html; charset=utf-8', 'content-encoding': 'gzip' };
    const stream = pageStream(headers, at);
    stream?.end(gzipSync('<a href="/ü">'));
    expect(stream).toBeDefined();
    if (stream !== undefined)
      expect(gunzipSync(await buffer(stream)).toString()).toBe('<a href="/api/v1/x/proxy/ü">');
    expect(pageStream({ 'content-type': 'text/plain' }, at)).toBeUndefined();
    expect(pageStream({ ...headers, 'content-encoding': 'br' }, at)).toBeUndefined();
    expect(pageStream({ ...headers, location: '/x' }, at)).toBeUndefined();
  });
});
