import { apiError } from '../../api-error.js';
import { cloneJson, equalJson, isObject, type Json } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { jsonPatch } from '../../patch/json-patch.js';
import { MalformedPatch, PatchNotApplicable } from '../../patch/patch-error.js';
import { convertObject } from '../../registry/conversion.js';
import type { AdmissionPlugin, AdmissionRequest, Reinvocation } from '../../registry/admission.js';
import { configuredWebhooks, type Webhook } from './configuration.js';
import { type Call, WebhookDispatch, type WebhookDeps } from './dispatch.js';

/** Which webhooks were called for a request, and which are to be called again. */
interface Rounds {
  /** Called before, and willing to be called again. */
  readonly reinvocable: Set<string>;
  /** To be called in the second round. */
  readonly wanted: Set<string>;
  /** The object as the webhooks left it. */
  output: ApiObject | undefined;
}

/** Lets the mutating webhooks change the object, one after the other. */
export function mutatingWebhooks(deps: WebhookDeps): AdmissionPlugin {
  const dispatch = new WebhookDispatch(deps);
  const rounds = new WeakMap<Reinvocation, Rounds>();
  return {
    name: 'MutatingAdmissionWebhook',
    isConfigured: true,
    admit: async (request, reinvocation) => {
      const webhooks = configuredWebhooks(deps.store, 'mutatingwebhookconfigurations');
      if (webhooks.length === 0) return;
      const state = rounds.get(reinvocation) ?? {
        reinvocable: new Set(),
        wanted: new Set(),
        output: undefined,
      };
      rounds.set(reinvocation, state);
      const isChangedSince = state.output !== undefined && !equalJson(state.output, request.object);
      if (reinvocation.isReinvoke && isChangedSince) want(state);
      for (const webhook of webhooks) {
        if (reinvocation.isReinvoke && !state.wanted.has(webhook.id)) continue;
        await invoke(webhook, request, reinvocation, state);
      }
      state.output = cloneJson(request.object);
    },
  };

  async function invoke(
    webhook: Webhook,
    request: AdmissionRequest,
    reinvocation: Reinvocation,
    state: Rounds,
  ): Promise<void> {
    const view = beforeStorage(request);
    const call = await dispatch.wanted(webhook, view);
    if (call === undefined) return;
    const answer = await dispatch.call(call, view, true);
    if (answer?.patch !== undefined && (await applyPatch(request, view, call, answer.patch))) {
      want(state);
      reinvocation.request();
    }
    if (webhook.isReinvocable) state.reinvocable.add(webhook.id);
  }
}

function want(state: Rounds): void {
  for (const id of state.reinvocable) state.wanted.add(id);
  state.reinvocable.clear();
}

/** A new object as mutating webhooks see it: without what the server gives it on storing. */
function beforeStorage(request: AdmissionRequest): AdmissionRequest {
  if (request.operation !== 'CREATE') return request;
  const { uid: _uid, ...metadata } = request.object.metadata;
  if (request.isNameGenerated === true) Reflect.deleteProperty(metadata, 'name');
  return {
    ...request,
    target: { namespace: metadata.namespace, name: request.object.metadata.name },
    // Seen by webhooks only: what is left out here is given back after a patch.
    object: { ...request.object, metadata: metadata as ApiObject['metadata'] },
  };
}

/** Puts a patched object in the request's place; whether that changed anything. */
async function applyPatch(
  request: AdmissionRequest,
  view: AdmissionRequest,
  { webhook, as }: Call,
  patch: Json,
): Promise<boolean> {
  if (Array.isArray(patch) && patch.length === 0) return false;
  if (request.operation === 'DELETE' || request.operation === 'CONNECT') {
    throw apiError.internal(
      `admission webhook ${JSON.stringify(webhook.name)} attempted to modify the object, which is not supported for this operation`,
    );
  }
  const isOther = as !== request.resource && request.bodyType === undefined;
  const before = isOther ? await convertObject(view.object, request.resource, as) : view.object;
  const patched = patchedObject(before, patch);
  const back = isOther ? await convertObject(patched, as, request.resource) : patched;
  const { uid, name } = request.object.metadata;
  const object: ApiObject = {
    ...back,
    metadata: { ...back.metadata, uid, name: request.isNameGenerated === true ? name : back.metadata.name },
  };
  const settled = request.settle?.(object) ?? object;
  if (equalJson(settled, request.object)) return false;
  const target = request.object;
  for (const key of Object.keys(target)) Reflect.deleteProperty(target, key);
  Object.assign(target, settled);
  return true;
}

function patchedObject(object: ApiObject, patch: Json): ApiObject {
  let patched: Json;
  try {
    if (!Array.isArray(patch)) throw new MalformedPatch('the patch is no list of operations');
    patched = jsonPatch(object, patch as Json[]);
  } catch (error) {
    if (!(error instanceof MalformedPatch || error instanceof PatchNotApplicable)) throw error;
    // The client's request is not at fault.
    throw apiError.internal(error.message);
  }
  if (!isObject(patched) || !isObject(patched.metadata)) {
    throw apiError.internal('a webhook replaced the object with something that has no metadata');
  }
  if (patched.apiVersion !== object.apiVersion || patched.kind !== object.kind) {
    throw apiError.internal(
      `a webhook changed the type of the object from ${object.apiVersion}, Kind=${object.kind}`,
    );
  }
  // Has what makes an object of it: type and metadata.
  return patched as ApiObject;
}
