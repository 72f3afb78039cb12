import type { KubeClient } from '#base/kube/client.js';
import type { Io } from './io.js';
import type { Options } from './options.js';
import type { Progress } from './progress.js';

/** Everything a command gets. */
export interface CommandContext {
  /** Positional arguments. */
  readonly args: readonly string[];
  readonly options: Options;
  /** Value of `-o`. */
  readonly output: string;
  /** `-n`, undefined when not given; `kube().namespace` has the default. */
  readonly namespace: string | undefined;
  /** `-i`: where the mesh components live. */
  readonly meshNamespace: string;
  /** `--timeout`, or the command's default; the ceiling of every wait. */
  readonly timeoutMs: number;
  /** When the command as a whole must be over, by performance.now; undefined while it may go on. */
  readonly deadlineMs: () => number | undefined;
  readonly isVerbose: boolean;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  readonly io: Io;
  /** The cluster chosen by kubeconfig flags; connects on first use. Errors of kind access become exit code 3. */
  readonly kube: () => Promise<KubeConnection>;
  /** Asks on a terminal, unless `--yes` was given; resolves to whether the answer is yes. See prompt.ts. */
  readonly confirm: (question: string) => Promise<boolean>;
  /** Data on stdout for commands without a result document (`sandbox exec`, `completion`). */
  readonly write: (text: string) => void;
}

/** A chosen cluster. */
export interface KubeConnection {
  readonly client: KubeClient;
  /** URL of the API server. */
  readonly server: string;
  /** Name of the kubeconfig context; `in-cluster` for the service account of a pod. */
  readonly context: string;
  /** Namespace of the kubeconfig context, else `default`. */
  readonly contextNamespace: string;
  /** `-n`, else the context's. */
  readonly namespace: string;
}
