import { type JsonObject, numberOf, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Store } from '../../storage/store.js';
import { type MatchCondition, matchConditionsOf } from '../match/conditions.js';
import { type MatchCriteria, queryOf } from '../match/matcher.js';
import { matchRulesOf } from '../match/rules.js';
import type { WebhookClientConfig } from './client.js';

/** One webhook of a configuration. */
export interface Webhook {
  /** Configuration, position and name: unique in the cluster. */
  readonly id: string;
  readonly name: string;
  readonly criteria: MatchCriteria;
  readonly conditions: readonly MatchCondition[];
  readonly client: WebhookClientConfig;
  readonly timeoutSeconds: number;
  readonly ignoresFailures: boolean;
  readonly hasSideEffects: boolean;
  readonly isReinvocable: boolean;
  readonly reviewVersions: readonly string[];
}

/** A clientConfig as webhook and conversion configurations write it. */
export function clientConfigOf(config: JsonObject): WebhookClientConfig {
  const service = objectOf(config.service);
  const caPem = Buffer.from(stringOf(config.caBundle), 'base64').toString('utf8');
  const ca = caPem === '' ? {} : { caPem };
  if (typeof config.url === 'string') return { kind: 'url', url: config.url, ...ca };
  return {
    kind: 'service',
    namespace: stringOf(service.namespace),
    name: stringOf(service.name),
    path: stringOf(service.path),
    port: numberOf(service.port) ?? 443,
    ...ca,
  };
}

function webhooksOf(configuration: ApiObject): Webhook[] {
  return objectsOf(configuration.webhooks).map((w, i): Webhook => {
    const name = stringOf(w.name);
    const sideEffects = stringOf(w.sideEffects);
    return {
      id: `${configuration.metadata.name}/${name}/${i}`,
      name,
      criteria: {
        rules: matchRulesOf(w.rules),
        excluded: [],
        namespaceSelector: queryOf(w.namespaceSelector),
        objectSelector: queryOf(w.objectSelector),
        isEquivalent: w.matchPolicy !== 'Exact',
      },
      conditions: matchConditionsOf(w.matchConditions),
      client: clientConfigOf(objectOf(w.clientConfig)),
      timeoutSeconds: numberOf(w.timeoutSeconds) ?? 10,
      ignoresFailures: w.failurePolicy === 'Ignore',
      hasSideEffects: sideEffects !== 'None' && sideEffects !== 'NoneOnDryRun',
      isReinvocable: w.reinvocationPolicy === 'IfNeeded',
      reviewVersions: stringsOf(w.admissionReviewVersions),
    };
  });
}

const parsed = new WeakMap<ApiObject, readonly Webhook[]>();

/** The webhooks of all configurations of a kind, in the order they are called. */
export function configuredWebhooks(store: Store, plural: string): Webhook[] {
  return store.list(`${plural}.admissionregistration.k8s.io`).flatMap((configuration) => {
    const known = parsed.get(configuration) ?? webhooksOf(configuration);
    parsed.set(configuration, known);
    return known;
  });
}
