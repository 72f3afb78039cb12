import { counted } from '#base/collections/counted.js';
import { someOf } from '#base/collections/some-of.js';
import { groupBy } from '#base/collections/group-by.js';
import { X509Certificate } from 'node:crypto';
import { isForbidden } from '#base/kube/api-error.js';
import { configMaps } from '#base/kube/resource.js';
import type { ConfigMap } from '#base/kube/types.js';
import { selfSignedSecret } from '../../identity/ca/material-secret.js';
import { splitPem } from '../../identity/credentials.js';
import type { Finding } from '../findings/finding.js';
import type { MeshObserver } from '../mesh-observer.js';
import { KnownCertificates } from '../known-certificates.js';
import { shownRoots } from '../shown-roots.js';
import { type Distrust, distrustBetween, distrustText, type ProxyTrust } from '../trust.js';

const rootConfigMap = 'istio-ca-root-cert';
const rootKey = 'root-cert.pem';
/** What the controller is called among the proxies. */
const controllerName = 'the controller';

/** Pairs named as evidence. */
const pairsMax = 5;

/**
 * Proxies that distrust each other or the controller: every certificate in use is compared with the trust bundle of
 * every proxy and with the roots that the controller publishes. One finding for each issuer that is not trusted. With
 * `around`, the proxy of a node and a few others.
 */
export async function trustFindings(observer: MeshObserver, around?: string): Promise<readonly Finding[]> {
  const { parties, distrust } = await meshTrust(observer, around);
  const byIssuer = groupBy(distrust, ({ issuer }) => issuer);
  const roots = byIssuer.size === 0 ? [] : rootLines(parties);
  return [...byIssuer].map(([issuer, pairs]) => findingOf(issuer, { pairs, roots }, observer.meshNamespace));
}

/** The proxies (with `around`, that of a node and a few others) and the controller, and who of them distrusts whom. */
export function meshTrust(
  observer: MeshObserver,
  around?: string,
): Promise<{ readonly parties: readonly ProxyTrust[]; readonly distrust: readonly Distrust[] }> {
  return observer.once(`distrust ${around ?? ''}`, async () => {
    const [proxies, controller] = await Promise.all([observer.trust(around), controllerTrust(observer)]);
    const parties = [...(controller === undefined ? [] : [controller]), ...proxies];
    return { parties, distrust: distrustBetween(parties) };
  });
}

function findingOf(
  issuer: string,
  { pairs, roots }: { readonly pairs: readonly Distrust[]; readonly roots: readonly string[] },
  meshNamespace: string,
): Finding {
  const holders = [...new Set(pairs.map(({ holder }) => holder))];
  const refusers = [...new Set(pairs.map(({ proxy }) => proxy))];
  const more = pairs.length - pairsMax;
  return {
    code: 'MESH0935',
    severity: 'error',
    message: `two roots are in use: certificates issued by ${issuer} (${someOf(holders, 1)}) are not trusted by ${someOf(refusers, 1)}`,
    subject: { kind: 'Secret', namespace: meshNamespace, name: selfSignedSecret },
    evidence: [
      ...roots,
      ...pairs.slice(0, pairsMax).map(distrustText),
      ...(more > 0 ? [counted(more, 'more pair')] : []),
    ],
    fix: `Restore the former Secret ${meshNamespace}/${selfSignedSecret} and restart istiod, or let all proxies begin with the new root: kubectl rollout restart daemonset/ztunnel -n ${meshNamespace}, and every waypoint`,
  };
}

/** Who trusts which root: names of roots are alike, their fingerprints are not. */
function rootLines(proxies: readonly ProxyTrust[]): readonly string[] {
  const certificates = new KnownCertificates();
  const trusting = proxies.flatMap((one) => {
    const { proxy } = one;
    const roots = shownRoots([one], certificates).map(({ fingerprint }) => fingerprint.slice(0, 16));
    return roots.length === 0 ? [] : [{ proxy, roots: roots.sort().join(', ') }];
  });
  return [...groupBy(trusting, ({ roots }) => roots)].map(
    ([roots, group]) => `root ${roots}: trusted by ${someOf(group.map(({ proxy }) => proxy))}`,
  );
}

/** The roots that the controller publishes, as those of one more proxy; undefined when nobody can tell. */
async function controllerTrust({ client, meshNamespace }: MeshObserver): Promise<ProxyTrust | undefined> {
  const published = await client
    .getOrUndefined<ConfigMap>({ resource: configMaps, namespace: meshNamespace, name: rootConfigMap })
    .catch((error: unknown) => {
      if (isForbidden(error)) return undefined;
      throw error;
    });
  const roots = splitPem(published?.data?.[rootKey] ?? '').filter(isCertificate);
  if (roots.length === 0) return undefined;
  const rootCerts = roots.map((pem) => ({
    serialNumber: '',
    validFrom: '',
    expirationTime: '',
    pem: Buffer.from(pem).toString('base64'),
  }));
  return { proxy: controllerName, identities: [{ identity: 'its roots', state: 'Available', rootCerts }] };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
