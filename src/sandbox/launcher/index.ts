export { checkHost } from './host/host-check.js';
export type { KernelTrial } from './host/kernel-trial.js';
export type { MissingPiece } from './host/missing-piece.js';
export type { HostPrograms } from './host/programs.js';
export { sandboxCapture, type SandboxCaptureOptions } from './sandbox-capture.js';
export { sandboxDown, type SandboxDownOptions, type SandboxDownResult } from './sandbox-down.js';
export { sandboxExec, type SandboxExecOptions, type SignalSource } from './sandbox-exec.js';
export {
  type LoadedArchive,
  type SandboxImage,
  sandboxImages,
  sandboxLoad,
  type SandboxLoadOptions,
} from './sandbox-images.js';
export { sandboxKubeconfig } from './sandbox-kubeconfig.js';
export {
  sandboxActOnNodes,
  sandboxAddNodes,
  sandboxNodes,
  type SandboxNodesOptions,
} from './sandbox-nodes.js';
export {
  sandboxList,
  sandboxStatus,
  type SandboxStatusResult,
  type SandboxSummary,
} from './sandbox-status.js';
export { sandboxUp, type SandboxUpOptions, type SandboxUpResult } from './sandbox-up.js';
export { type IpFamilyName, parseIpFamilies } from '../supervisor/network-plan.js';
export type { BuiltinImageTable } from '../node/image/builtin-images.js';
export type { NodeAction, SandboxNodeStatus } from '../supervisor/control/control-protocol.js';
