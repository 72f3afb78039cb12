import { apiError } from '../api-error.js';
import { isObject, type JsonObject, objectsOf, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { specOf } from '../registry/resource.js';
import type { Store } from '../storage/store.js';
import type { AdmissionPlugin } from '../registry/admission.js';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
const volumePrefix = 'kube-api-access-';
const mirrorAnnotation = 'kubernetes.io/config.mirror';
/** An hour and a little, so that a rotated token overlaps the old one. */
const tokenSeconds = 3607;
const defaultAccount = 'default';
/** A new namespace gets its default account from a controller; a pod that comes with it waits that long. */
const defaultAccountWaitMs = 1_500;

function accessVolume(name: string): JsonObject {
  return {
    name,
    projected: {
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
    },
  };
}

function wantsToken(spec: JsonObject, account: ApiObject): boolean {
  const own = spec.automountServiceAccountToken;
  return typeof own === 'boolean' ? own : account.automountServiceAccountToken !== false;
}

/** Mounts the token in containers that have none, also in those that a webhook added since. */
function mountToken(spec: JsonObject, existing: JsonObject | undefined): void {
  const volumeName =
    stringOf(existing?.name) || `${volumePrefix}${Math.random().toString(36).slice(2, 7).padEnd(5, 'x')}`;
  let isMounted = false;
  for (const list of [spec.initContainers, spec.containers]) {
    for (const container of objectsOf(list)) {
      const mounts = objectsOf(container.volumeMounts);
      if (mounts.some((m) => m.mountPath === mountPath)) continue;
      container.volumeMounts = [...mounts, { name: volumeName, readOnly: true, mountPath }];
      isMounted = true;
    }
  }
  if (isMounted && existing === undefined)
    spec.volumes = [...objectsOf(spec.volumes), accessVolume(volumeName)];
}

/**
 * The account, or undefined when there is none. The default one is waited for, as
 * kube-apiserver does: clients apply a namespace and its pods in one go.
 */
function findAccount(
  store: Store,
  namespace: string | undefined,
  name: string,
): Promise<ApiObject | undefined> {
  const find = (): ApiObject | undefined => store.get('serviceaccounts', namespace, name);
  const found = find();
  if (found !== undefined || name !== defaultAccount) return Promise.resolve(found);
  return new Promise((resolve) => {
    const settle = (account: ApiObject | undefined): void => {
      clearTimeout(timer);
      unsubscribe();
      resolve(account);
    };
    const timer = setTimeout(() => settle(undefined), defaultAccountWaitMs);
    const unsubscribe = store.subscribe('serviceaccounts', () => {
      const account = find();
      if (account !== undefined) settle(account);
    });
  });
}

/** Gives every pod its service account and the projected volume through which it speaks to the API. */
export function serviceAccountInjection(store: Store): AdmissionPlugin {
  return {
    name: 'ServiceAccount',
    admit: async ({ operation, resource, object, subresource }) => {
      if (operation !== 'CREATE' || resource.storage !== 'pods' || (subresource ?? '') !== '') return;
      const spec = specOf(object);
      if (object.metadata.annotations?.[mirrorAnnotation] !== undefined) return;
      const name = stringOf(spec.serviceAccountName) || defaultAccount;
      spec.serviceAccountName = name;
      spec.serviceAccount = name;
      const account = await findAccount(store, object.metadata.namespace, name);
      if (account === undefined) {
        throw apiError.forbidden(
          { group: '', plural: 'pods' },
          object.metadata.name,
          `error looking up service account ${object.metadata.namespace}/${name}: serviceaccount "${name}" not found`,
        );
      }
      if (objectsOf(spec.imagePullSecrets).length === 0 && objectsOf(account.imagePullSecrets).length > 0) {
        spec.imagePullSecrets = objectsOf(account.imagePullSecrets).map((s) => ({ ...s }));
      }
      const existing = objectsOf(spec.volumes).find(
        (v) => stringOf(v.name).startsWith(volumePrefix) && isObject(v.projected),
      );
      if (wantsToken(spec, account)) mountToken(spec, existing);
    },
  };
}
