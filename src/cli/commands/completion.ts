import type { CommandDefinition } from '../command.js';
import { type CompletingShell, completionScripts } from '../completion/shell-scripts.js';

const uses: Readonly<Record<CompletingShell, readonly string[]>> = {
  bash: ['source <(meshctl completion bash)', 'meshctl completion bash > /etc/bash_completion.d/meshctl'],
  zsh: ['source <(meshctl completion zsh)', 'meshctl completion zsh > "${fpath[1]}/_meshctl"'],
  fish: [
    'meshctl completion fish | source',
    'meshctl completion fish > ~/.config/fish/completions/meshctl.fish',
  ],
};

/** `meshctl completion SHELL`. */
export function completionCommand(shell: CompletingShell): CommandDefinition {
  return {
    description: `Prints a script that lets ${shell} complete commands, flags, their values and live names: namespaces, pods, services, waypoints, nodes, contexts. Names that the cluster does not tell within a second are left out.`,
    formats: [],
    permissions: [],
    examples: uses[shell],
    run: ({ write }) => {
      write(completionScripts[shell]);
      return Promise.resolve(0);
    },
  };
}
