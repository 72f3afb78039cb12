import { remoteAddressOf } from '../../l7/layers/header-policy.js';
import type { HeaderList } from '../../l7/message/header-list.js';
import { type LocalReply, rbacDenied } from '../../l7/message/local-reply.js';
import type { HttpAttributes, L7Attributes } from '../../policy/l7/attributes.js';
import { authorize, denialDetails } from '../../policy/l7/authorize.js';
import { connectionAttributes, type ConnectionContext, serviceOf } from '../connection/connection-context.js';
import type { L7PolicyStore } from '../../policy/l7/l7-policy-store.js';

/** A request between being accepted and being routed. Filters may change the headers. */
export interface FilteredRequest {
  readonly connection: ConnectionContext;
  readonly method: string;
  /** Normalized, without query. */
  readonly path: string;
  readonly query: string;
  readonly authority: string;
  readonly headers: HeaderList;
  /** Filled by token verification when there is one. */
  auth: HttpAttributes['auth'];
}

/** One step of the request path: passes (undefined) or answers. Steps run in the order of the chain. */
export interface HttpFilter {
  readonly name: string;
  apply(request: FilteredRequest): Promise<LocalReply | undefined> | LocalReply | undefined;
}

/** Refuses what the AuthorizationPolicies attached to the destination do not allow. */
export class AuthorizationFilter implements HttpFilter {
  readonly #policies: L7PolicyStore;

  readonly name = 'authorization';

  constructor(policies: L7PolicyStore) {
    this.#policies = policies;
  }

  apply(request: FilteredRequest): LocalReply | undefined {
    const decision = authorize(this.#policies.select(serviceOf(request.connection)), attributesOf(request));
    return decision.allowed ? undefined : rbacDenied(denialDetails(decision));
  }
}

function attributesOf(request: FilteredRequest): L7Attributes {
  const { connection, headers } = request;
  return {
    ...connectionAttributes(connection),
    remoteIp: remoteAddressOf(headers, connection.peerAddress.ip),
    http: {
      method: request.method,
      path: request.path,
      host: request.authority,
      header: (name) => headers.joined(name),
      auth: request.auth,
    },
  };
}
