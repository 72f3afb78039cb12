import { checkKernel } from './kernel.js';
import { missingPrograms, type ProgramSearch } from './programs.js';

/** Something the sandbox needs and this machine does not have. */
export interface MissingPiece {
  readonly piece: string;
  /** What it is needed for, or what was observed. */
  readonly reason: string;
  /** The exact command that puts it in place. */
  readonly fix: string;
}

/** Everything the sandbox needs and lacks here, with the command that helps. Starts nothing that stays. */
export async function checkHost(
  o: ProgramSearch & { readonly platform?: NodeJS.Platform; readonly ipv6?: boolean } = {},
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
  const kernel = await checkKernel({ ipv6: o.ipv6 === true });
  return kernel === undefined ? [] : [kernel];
}
