import type { Logger } from '../../../telemetry/log.js';
import type { Stoppable } from '../controllers/builtin-controllers.js';
import { WorkQueue } from '../controllers/work-queue.js';
import { ApiError } from '../http/api-error.js';
import { cloneJson, objectOf } from '../json.js';
import type { KubeObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import type { ServiceAccountTokens } from './service-account-tokens.js';
import { systemUser } from './user.js';

const secretType = 'kubernetes.io/service-account-token';
const nameAnnotation = 'kubernetes.io/service-account.name';
const uidAnnotation = 'kubernetes.io/service-account.uid';
const options = { user: systemUser, manager: 'kube-controller-manager' };

/** The account a secret keeps a token for; undefined for other secrets. */
function accountNameOf(secret: KubeObject): string | undefined {
  return secret.type === secretType ? secret.metadata.annotations?.[nameAnnotation] : undefined;
}

/**
 * Fills secrets of type kubernetes.io/service-account-token with a token of
 * their account, and deletes those whose account is gone.
 */
export function startTokenSecrets(deps: {
  readonly operations: Operations;
  readonly tokens: ServiceAccountTokens;
  readonly caPem: string;
  readonly logger: Logger;
}): Stoppable {
  const { operations, tokens, caPem, logger } = deps;
  const { store, registry } = operations;
  const encoded = (text: string): string => Buffer.from(text).toString('base64');

  const settle = async (namespace: string, name: string): Promise<void> => {
    const secrets = registry.find('', 'v1', 'secrets');
    const secret = store.get('secrets', namespace, name);
    if (secrets === undefined || secret === undefined || secret.metadata.deletionTimestamp !== undefined)
      return;
    const accountName = accountNameOf(secret);
    if (accountName === undefined) return;
    const account = store.get('serviceaccounts', namespace, accountName);
    const wantedUid = secret.metadata.annotations?.[uidAnnotation] ?? '';
    const target = { namespace, name };
    if (account === undefined || (wantedUid !== '' && wantedUid !== account.metadata.uid)) {
      await operations.delete(secrets, target, { preconditions: { uid: secret.metadata.uid } }, options);
      return;
    }
    const data = objectOf(secret.data);
    const { uid } = account.metadata;
    if (data.token !== undefined && data['ca.crt'] === encoded(caPem) && wantedUid === uid) return;
    const token = data.token ?? encoded(tokens.mintLegacy({ namespace, name: accountName, uid }, name));
    const fill = (current: KubeObject): KubeObject => {
      const next = cloneJson(current);
      next.data = {
        ...objectOf(next.data),
        token,
        'ca.crt': encoded(caPem),
        namespace: encoded(namespace),
      };
      next.metadata.annotations = { ...next.metadata.annotations, [uidAnnotation]: uid };
      return next;
    };
    await operations.modify(secrets, target, fill, options);
  };

  const queue = new WorkQueue(
    async (key) => {
      const [namespace = '', name = ''] = key.split('/');
      try {
        await settle(namespace, name);
      } catch (error) {
        // Gone or changed meanwhile: another event follows.
        if (!(error instanceof ApiError && (error.code === 404 || error.code === 409))) throw error;
      }
      return 'done';
    },
    (secret, error) => logger.warn('token secret is not filled yet', { secret, error: String(error) }),
  );
  const consider = (secret: KubeObject): void => {
    if (accountNameOf(secret) === undefined) return;
    queue.add(`${secret.metadata.namespace ?? ''}/${secret.metadata.name}`);
  };
  for (const secret of store.list('secrets')) consider(secret);
  const unsubscribes = [
    store.subscribe('secrets', ({ type, object }) => {
      if (type !== 'DELETED') consider(object);
    }),
    store.subscribe('serviceaccounts', ({ object }) => {
      const { namespace, name } = object.metadata;
      for (const secret of store.list('secrets', namespace)) {
        if (accountNameOf(secret) === name) consider(secret);
      }
    }),
  ];
  return {
    stop: async () => {
      for (const unsubscribe of unsubscribes) unsubscribe();
      await queue.stop();
    },
  };
}
