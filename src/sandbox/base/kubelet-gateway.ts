import type { Duplex, Readable, Writable } from 'node:stream';

/** One container of one pod, as addressed by a pod subresource request. */
export interface ContainerTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  /** Always set: the API server resolves the default container before it calls the node side. */
  readonly container: string;
}

export interface LogRequest extends ContainerTarget {
  readonly follow: boolean;
  /** Only the last this many lines of what exists when the request starts. */
  readonly tailLines?: number | undefined;
  readonly sinceSeconds?: number | undefined;
  /** RFC 3339. */
  readonly sinceTime?: string | undefined;
  /** The terminated instance before the current one; an error when there is none. */
  readonly previous?: boolean | undefined;
  /** Prefix every line with its RFC 3339 nano time and a blank. */
  readonly timestamps?: boolean | undefined;
  readonly limitBytes?: number | undefined;
}

export interface AttachRequest extends ContainerTarget {
  readonly tty: boolean;
}

export interface ExecRequest extends AttachRequest {
  readonly command: readonly string[];
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The streams of an exec or attach session; an absent stream was not asked for by the client. */
export interface ContainerIo {
  readonly stdin?: Readable | undefined;
  readonly stdout: Writable;
  /** Absent with a TTY, where both outputs share stdout. */
  readonly stderr?: Writable | undefined;
  /** Calls back with the latest known size at once, when there is one, and on every change. */
  onResize(callback: (size: TerminalSize) => void): void;
}

export interface PortForwardRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  readonly port: number;
}

/**
 * How pod subresources reach the node that runs the pod. The API server has
 * done authentication, authorization and lookup before calling; an
 * implementation throws {@link KubeletGatewayError} for what the client should
 * read, and stops (rejecting or resolving) when the signal aborts.
 */
export interface KubeletGateway {
  /** Writes the container's log to the sink, respecting its back-pressure, without ending it. */
  logs(request: LogRequest, sink: Writable, signal: AbortSignal): Promise<void>;
  /** Runs a command in the container until it ends. */
  exec(request: ExecRequest, io: ContainerIo, signal: AbortSignal): Promise<{ exitCode: number }>;
  /** Joins the streams of the container's main process until it ends or the client leaves. */
  attach(request: AttachRequest, io: ContainerIo, signal: AbortSignal): Promise<{ exitCode: number }>;
  /** Opens one TCP connection to localhost:port inside the pod's network namespace. */
  portForward(request: PortForwardRequest, signal: AbortSignal): Promise<Duplex>;
}

/** A refusal of the node side that the client sees as a Kubernetes Status with this HTTP code. */
export class KubeletGatewayError extends Error {
  override readonly name = 'KubeletGatewayError';
  /** 400: wrong request (container not started), 404: no such container or log, 500: everything else. */
  readonly httpStatus: 400 | 404 | 500;

  constructor(httpStatus: 400 | 404 | 500, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.httpStatus = httpStatus;
  }
}
