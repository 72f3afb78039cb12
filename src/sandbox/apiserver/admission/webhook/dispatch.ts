import type { Logger } from '#base/telemetry/log.js';
import { ApiError, apiError } from '../../api-error.js';
import type { Authorizer } from '../../rbac/authorizer.js';
import type { Registry } from '../../registry/registry.js';
import type { ServedResource } from '../../registry/resource.js';
import type { Store } from '../../storage/store.js';
import type { AdmissionRequest } from '../../registry/admission.js';
import { celContext } from '../match/cel-context.js';
import { conditionsHold } from '../match/conditions.js';
import { isExempt, Matcher } from '../match/matcher.js';
import { targetOf } from '../match/rules.js';
import { inVersion } from '../match/versions.js';
import { WebhookCallError, WebhookClient } from './client.js';
import type { Webhook } from './configuration.js';
import { readAnswer, type ReviewAnswer, refusal, reviewOf } from './review.js';

export interface WebhookDeps {
  readonly store: Store;
  readonly registry: Registry;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

/** What a webhook is called with. */
export interface Call {
  readonly webhook: Webhook;
  /** The version of the resource that the webhook asked for. */
  readonly as: ServedResource;
}

/** Finds out which webhooks want a request, and asks them. */
export class WebhookDispatch {
  readonly #matcher: Matcher;
  readonly #client: WebhookClient;
  readonly #authorizer: Authorizer;
  readonly #logger: Logger;

  constructor({ store, registry, authorizer, logger }: WebhookDeps) {
    this.#matcher = new Matcher(store, registry);
    this.#client = new WebhookClient(store);
    this.#authorizer = authorizer;
    this.#logger = logger;
  }

  /** How to call a webhook for a request; undefined when it does not want it. Throws when a condition fails. */
  async wanted(webhook: Webhook, request: AdmissionRequest): Promise<Call | undefined> {
    if (isExempt(request)) return undefined;
    const as = this.#matcher.match(webhook.criteria, request);
    if (as === undefined) return undefined;
    if (webhook.conditions.length === 0) return { webhook, as };
    const objects = await inVersion(request, as);
    const held = conditionsHold(webhook.conditions, () => celContext(request, as, objects, this.#authorizer));
    if (held === true) return { webhook, as };
    if (held === false) return undefined;
    if (webhook.ignoresFailures) {
      this.#logger.warn('webhook skipped: its match conditions failed', {
        webhook: webhook.name,
        error: held.error,
      });
      return undefined;
    }
    throw apiError.forbidden(request.resource, targetOf(request).name, held.error);
  }

  /**
   * Asks a webhook. Its refusal is thrown, as is its failure unless its policy
   * is to ignore that: then the answer is undefined.
   */
  async call(
    { webhook, as }: Call,
    request: AdmissionRequest,
    isMutating: boolean,
  ): Promise<ReviewAnswer | undefined> {
    if (request.isDryRun === true && webhook.hasSideEffects) {
      throw apiError.badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
    }
    let answer: ReviewAnswer;
    try {
      const { uid, review } = reviewOf(request, as, await inVersion(request, as));
      answer = readAnswer(await this.#post(webhook, review), uid, isMutating);
    } catch (error) {
      if (!(error instanceof WebhookCallError)) throw error;
      const text = `failed calling webhook ${JSON.stringify(webhook.name)}: ${error.message}`;
      this.#logger.warn(text, { ignored: webhook.ignoresFailures });
      if (webhook.ignoresFailures) return undefined;
      throw apiError.internal(text);
    }
    request.warnings?.push(...answer.warnings);
    if (!answer.isAllowed) throw refusal(webhook.name, answer.status);
    return answer;
  }

  async #post(
    webhook: Webhook,
    review: Parameters<WebhookClient['post']>[1],
  ): ReturnType<WebhookClient['post']> {
    try {
      return await this.#client.post(webhook.client, review, webhook.timeoutSeconds * 1000);
    } catch (error) {
      if (!(error instanceof WebhookCallError)) throw error;
      throw new WebhookCallError(`failed to call webhook: ${error.message}`);
    }
  }
}

/** The first error to throw of several calls: refusals and failures alike. */
export function firstError(results: readonly PromiseSettledResult<unknown>[]): Error | undefined {
  for (const result of results) {
    if (result.status === 'rejected') {
      return result.reason instanceof Error
        ? result.reason
        : new ApiError(500, 'InternalError', String(result.reason));
    }
  }
  return undefined;
}
