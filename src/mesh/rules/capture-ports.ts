import { hbonePort } from '../hbone/parameters.js';

/** Where the node proxy listens inside each pod, as upstream's does: the redirection leads there. */
export const outboundPort = 15001;
export const inboundPlaintextPort = 15006;

/** All of them, as reports name them. */
export const capturePorts = [`${outboundPort}`, `${inboundPlaintextPort}`, `${hbonePort}`] as const;
export type CapturePort = (typeof capturePorts)[number];
