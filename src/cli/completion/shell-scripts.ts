/** Line that tells a shell to look for files itself. */
export const filesMark = ':files';

/** Shells that there is a script for. */
export type CompletingShell = 'bash' | 'zsh' | 'fish';

/** What each shell reads to complete the words of meshctl. All of them ask `meshctl __complete`. */
export const completionScripts: Readonly<Record<CompletingShell, string>> = {
  bash: `# bash completion of meshctl
_meshctl() {
  local IFS=$'\\n' line
  local -a lines
  COMPREPLY=()
  lines=($("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [[ "\${lines[0]}" == "${filesMark}" ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]#=}"))
    return
  fi
  for line in "\${lines[@]}"; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done
}
complete -F _meshctl meshctl
`,
  zsh: `#compdef meshctl
# zsh completion of meshctl
_meshctl() {
  local line
  local -a lines described
  lines=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "\${lines[1]}" == "${filesMark}" ]]; then
    _files
    return
  fi
  for line in "\${lines[@]}"; do
    [[ -z "$line" ]] && continue
    if [[ "$line" == *$'\\t'* ]]; then
      described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    else
      described+=("\${line//:/\\\\:}")
    fi
  done
  _describe -t words meshctl described
}
if [[ "\${funcstack[1]}" == _meshctl ]]; then
  _meshctl "$@"
else
  compdef _meshctl meshctl
fi
`,
  fish: `# fish completion of meshctl
function __meshctl_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($before[1] __complete $before[2..-1] "$current" 2>/dev/null)
    if test "$lines[1]" = "${filesMark}"
        __fish_complete_path "$current"
    else
        printf '%s\\n' $lines
    end
end
complete -c meshctl -e
complete -c meshctl -f -a '(__meshctl_complete)'
`,
};
