import { checkKernel } from './kernel.js';
import type { KernelTrial } from './kernel-trial.js';
import type { MissingPiece } from './missing-piece.js';
import { missingPrograms, type ProgramSearch } from './programs.js';

/** Everything the sandbox needs and lacks here, with the command that helps. Starts nothing that stays. */
export async function checkHost(
  o: ProgramSearch & {
    readonly platform?: NodeJS.Platform;
    readonly ipv6?: boolean;
    /** What the programs to be run there need of the kernel, besides what the sandbox does itself. */
    readonly kernelTrials?: readonly KernelTrial[] | undefined;
  } = {},
): Promise<MissingPiece[]> {
  const platform = o.platform ?? process.platform;
  if (platform !== 'linux') {
    return [
      {
        piece: 'Linux',
        reason: `the sandbox uses Linux namespaces, and this is ${platform}`,
        fix: 'kind create cluster   # https://kind.sigs.k8s.io, then `meshctl install` on it',
      },
    ];
  }
  const missing = missingPrograms(o);
  if (missing.length > 0) return missing;
  const kernel = await checkKernel({ ipv6: o.ipv6 === true, trials: o.kernelTrials ?? [] });
  return kernel === undefined ? [] : [kernel];
}
