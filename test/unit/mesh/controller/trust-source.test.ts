import { expect, it } from 'vitest';
import { TrustSource } from '#mesh/controller/authority/trust-source.js';
import { TrustBundleSchema } from '#mesh/xds/gen/meshctl/trust_pb.js';
import { decodeResource } from '#mesh/xds/server/resource.js';

const pem = (text: string) =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(text).toString('base64')}\n-----END CERTIFICATE-----\n`;

it('encodes the roots once for all who ask, and again when they change', () => {
  const trust = { rootsPem: pem('one'), signingRootPem: '' };
  const source = new TrustSource(trust);
  expect([...source.all()], 'nobody signs yet').toEqual([]);
  trust.signingRootPem = pem('one');
  const [first] = source.lookup('mesh');
  expect(source.lookup('mesh')[0]).toBe(first);
  expect([...source.all()][0]).toBe(first);
  expect(source.lookup('other')).toEqual([]);

  trust.rootsPem = pem('one') + pem('two');
  const [second] = source.lookup('mesh');
  if (second === undefined) throw new Error('the roots are gone');
  expect(second.version).not.toBe(first?.version);
  expect(decodeResource(TrustBundleSchema, second).roots).toHaveLength(2);
  trust.signingRootPem = pem('two');
  const [third] = source.lookup('mesh');
  if (third === undefined) throw new Error('the roots are gone');
  expect(decodeResource(TrustBundleSchema, third).signingRoot).toBe(trust.signingRootPem);
});
