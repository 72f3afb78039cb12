import { createPrivateKey, sign } from 'node:crypto';
import { Reflector } from '#base/kube/reflector.js';
import { secrets, serviceAccounts } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';

interface Secret extends KubeObject {
  type?: string;
  data?: Record<string, string>;
}

const secretType = 'kubernetes.io/service-account-token';
const accountName = 'kubernetes.io/service-account.name';
const accountUid = 'kubernetes.io/service-account.uid';

/**
 * Fills Secrets of type service-account-token with a token that does not expire,
 * as clients from before TokenRequest use it, and deletes them with their account.
 */
export function accountTokenController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
  o: { readonly caPem: string; readonly signingKeyPem: string },
): Controller {
  const log = createLogger('cluster');
  const { client } = deps;
  const accounts = deps.caches.of<KubeObject>(serviceAccounts);
  const tokens = new Reflector<Secret>({
    client,
    resource: secrets,
    fieldSelector: `type=${secretType}`,
    onError: (message) => log.warn('watch interrupted', { message }),
  });
  tokens.onChange(({ type, object }) => {
    if (type !== 'deleted') queue.add(`${object.metadata.namespace ?? ''}/${object.metadata.name}`);
  });
  tokens.start(deps.signal);
  accounts.onChange(({ object, isGone }) => {
    if (!isGone && object.metadata.deletionTimestamp === undefined) return;
    for (const { metadata } of tokens.list())
      if (metadata.namespace === object.metadata.namespace)
        queue.add(`${metadata.namespace ?? ''}/${metadata.name}`);
  });

  return {
    name: 'account-token',
    keys: () => tokens.list().map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const secret = tokens.get(namespace, name);
      if (secret === undefined || secret.metadata.deletionTimestamp !== undefined) return;
      const account = await client.getOrUndefined({
        resource: serviceAccounts,
        namespace,
        name: secret.metadata.annotations?.[accountName] ?? '',
      });
      const uid = secret.metadata.annotations?.[accountUid] ?? '';
      if (account === undefined || (uid !== '' && uid !== account.metadata.uid)) {
        await client.delete(
          { resource: secrets, namespace, name },
          { preconditions: { uid: secret.metadata.uid ?? '' } },
        );
        return;
      }
      const wanted: Record<string, string> = {
        'ca.crt': base64(o.caPem),
        namespace: base64(namespace),
        token: secret.data?.['token'] ?? base64(legacyToken(o.signingKeyPem, secret, account)),
      };
      const isComplete =
        uid !== '' && Object.entries(wanted).every(([field, value]) => secret.data?.[field] === value);
      if (isComplete) return;
      const metadata = {
        ...secret.metadata,
        annotations: { ...secret.metadata.annotations, [accountUid]: account.metadata.uid ?? '' },
      };
      await client.update<Secret>(
        { resource: secrets, namespace, name },
        { ...secret, metadata, data: { ...secret.data, ...wanted } },
      );
    },
  };
}

/** A token bound to its Secret, in the form and with the claims of Kubernetes before 1.24. */
function legacyToken(signingKeyPem: string, secret: KubeObject, account: KubeObject): string {
  const { namespace = '', name, uid = '' } = account.metadata;
  const claims = {
    iss: 'kubernetes/serviceaccount',
    'kubernetes.io/serviceaccount/namespace': namespace,
    'kubernetes.io/serviceaccount/secret.name': secret.metadata.name,
    'kubernetes.io/serviceaccount/service-account.name': name,
    'kubernetes.io/serviceaccount/service-account.uid': uid,
    sub: `system:serviceaccount:${namespace}:${name}`,
  };
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'ES256', typ: 'JWT' })}.${encode(claims)}`;
  const key = { key: createPrivateKey(signingKeyPem), dsaEncoding: 'ieee-p1363' } as const;
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
