export { checkHost, type MissingPiece } from './host-check.js';
export { sandboxCapture, type SandboxCaptureOptions } from './sandbox-capture.js';
export { sandboxDown, type SandboxDownOptions } from './sandbox-down.js';
export { sandboxExec, type SandboxExecOptions } from './sandbox-exec.js';
export { sandboxKubeconfig } from './sandbox-kubeconfig.js';
export {
  sandboxList,
  sandboxStatus,
  type SandboxStatusResult,
  type SandboxSummary,
} from './sandbox-status.js';
export { sandboxUp, type SandboxUpOptions, type SandboxUpResult } from './sandbox-up.js';
