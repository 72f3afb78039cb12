/** What a verified JSON Web Token of the request says; absent when no token was verified. */
export interface RequestAuth {
  /** `<iss>/<sub>`. */
  readonly principal: string;
  readonly audiences: readonly string[];
  /** The `azp` claim. */
  readonly presenter: string | undefined;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** The HTTP part of a request, as a policy sees it. */
export interface HttpAttributes {
  /** As sent, case-sensitive (`GET`). */
  readonly method: string;
  /** Normalized path without query and fragment. */
  readonly path: string;
  /** `:authority` or `Host` as sent, with its port if the client sent one. */
  readonly host: string;
  /** Value of a header by lower-case name; repeated lines joined by `,`; undefined when absent. */
  readonly header: (name: string) => string | undefined;
  readonly auth: RequestAuth | undefined;
}

/** Everything an AuthorizationPolicy can ask about one request or one TCP connection. */
export interface L7Attributes {
  /** SPIFFE id of the caller without `spiffe://`; undefined for a caller without a certificate. */
  readonly sourcePrincipal: string | undefined;
  /** Address of the direct peer: the client pod. */
  readonly sourceIp: string;
  /** Client address after trusted forwarding headers. */
  readonly remoteIp: string;
  readonly destinationIp: string;
  /** The service port for service traffic, the pod port for workload traffic. */
  readonly destinationPort: number;
  /** TLS server name of the connection; undefined when the enforcement point cannot know it. */
  readonly sni: string | undefined;
  /** Undefined for a TCP connection: HTTP attributes then cannot be evaluated. */
  readonly http: HttpAttributes | undefined;
}
