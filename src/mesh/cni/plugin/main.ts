import { CniError, cniErrorCodes } from './cni-error.js';
import { runCommand } from './commands.js';
import type { NetConf } from './netconf.js';
import { PluginLog } from './plugin-log.js';

const stdinMaxBytes = 1024 * 1024;

/** Executed by container runtimes: configuration on stdin, command in the environment, result on stdout. */
async function main(env: NodeJS.ProcessEnv): Promise<number> {
  let log: PluginLog | undefined;
  let conf: NetConf | undefined;
  const logFor = (parsed: NetConf): PluginLog => {
    conf = parsed;
    log = new PluginLog(parsed.cni_agent_run_dir, parsed.plugin_log_level ?? 'info');
    return log;
  };
  try {
    const result = await runCommand(env, await readStdin(), logFor);
    if (result !== undefined) await write(result);
    return 0;
  } catch (error) {
    const failure =
      error instanceof CniError
        ? error
        : new CniError(cniErrorCodes.ioFailure, String(error), stackOf(error));
    log?.error(failure.message, { code: failure.code, details: failure.details });
    await write(failure.toResult(conf?.cniVersion ?? '1.0.0'));
    return 1;
  } finally {
    await log?.flush();
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > stdinMaxBytes) {
      throw new CniError(cniErrorCodes.decodingFailure, `stdin is larger than ${stdinMaxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function write(value: unknown): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(`${JSON.stringify(value)}\n`, () => resolve());
  });
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? '') : '';
}

void main(process.env).then((exitCode) => {
  process.exitCode = exitCode;
});
