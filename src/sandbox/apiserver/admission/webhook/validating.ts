import type { AdmissionPlugin } from '../../registry/admission.js';
import { configuredWebhooks } from './configuration.js';
import { firstError, WebhookDispatch, type WebhookDeps } from './dispatch.js';

/** Asks the validating webhooks, all at once; every one must allow the request. */
export function validatingWebhooks(deps: WebhookDeps): AdmissionPlugin {
  const dispatch = new WebhookDispatch(deps);
  return {
    name: 'ValidatingAdmissionWebhook',
    isConfigured: true,
    validate: async (request) => {
      const webhooks = configuredWebhooks(deps.store, 'validatingwebhookconfigurations');
      if (webhooks.length === 0) return;
      const calls = [];
      for (const webhook of webhooks) {
        const call = await dispatch.wanted(webhook, request);
        if (call !== undefined) calls.push(call);
      }
      const results = await Promise.allSettled(calls.map((call) => dispatch.call(call, request, false)));
      const error = firstError(results);
      if (error !== undefined) throw error;
    },
  };
}
