import type { CertificateManager } from '../identity/certificate-manager.js';
import type { SpiffeId } from '../identity/spiffe.js';
import type { MeshView } from '../view/mesh-view.js';
import type { KnownWorkload } from '../view/known.js';

/**
 * Has certificates signed before the first connection needs them: one per identity that runs on this node with HBONE,
 * dropped when the last such workload leaves.
 */
export function prefetchCertificates(options: {
  view: MeshView;
  certificates: CertificateManager;
  /** Empty: nothing is prefetched, certificates are signed on demand. */
  nodeName: string;
}): void {
  const { view, certificates, nodeName } = options;
  const users = new Map<SpiffeId, Set<string>>();
  const isOurs = (w: KnownWorkload): boolean =>
    nodeName !== '' && w.node === nodeName && (w.protocol === 'HBONE' || w.nativeTunnel);
  view.onWorkload(({ uid, before, after }) => {
    const old = before !== undefined && isOurs(before) ? before.identity : undefined;
    const now = after !== undefined && isOurs(after) ? after.identity : undefined;
    if (now !== undefined) {
      let uids = users.get(now);
      if (uids === undefined) {
        uids = new Set();
        users.set(now, uids);
        certificates.prefetch(now);
      }
      uids.add(uid);
    }
    if (old !== undefined && old !== now) {
      const uids = users.get(old);
      uids?.delete(uid);
      if (uids?.size === 0) {
        users.delete(old);
        certificates.forget(old);
      }
    }
  });
}
