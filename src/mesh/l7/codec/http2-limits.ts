/** Requests on one connection at a time: what a client may run, and before another one to a backend is opened. */
export const http2ConcurrentStreamsMax = 100;
export const http2StreamWindowBytes = 256 * 1024;
export const http2ConnectionWindowBytes = 1024 * 1024;
/** Memory one connection may hold (MB, Node's unit). */
export const http2SessionMemoryMaxMb = 32;
