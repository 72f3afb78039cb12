/** Port every HBONE server listens on. */
export const hbonePort = 15008;

/**
 * HTTP/2 parameters of both ends, as upstream's. The connection window is four times the stream window on purpose:
 * with equal windows an application that stops reading one stream can stall all others.
 */
export const streamWindowBytes = 4 * 1024 * 1024;
export const connectionWindowBytes = 16 * 1024 * 1024;
export const frameMaxBytes = 1024 * 1024;
export const clientHeaderListMaxBytes = 16 * 1024;
export const serverHeaderListMaxBytes = 64 * 1024;
export const serverStreamsMax = 200;

/** A PING is sent this often whatever the traffic; unanswered this long the connection is given up. */
export const pingIntervalMs = 10_000;
export const pingTimeoutMs = 20_000;

/** Bound of TLS handshake plus identity check, both sides. */
export const handshakeTimeoutMs = 15_000;

/** Memory one HTTP/2 connection may hold (MB, Node's unit): both windows of a busy connection fit. */
export const sessionMemoryMaxMb = 256;
