#!@BUSYBOX@ sh
# The CNI plugin of the mesh (CNI specification 1.1). The CNI agent of the node wrote this file, keeps it, and takes it
# away. It needs nothing of the node but the kernel and the busybox beside it. It decides nothing: it carries what the
# container runtime asks to the agent and the answer back. With the agent away it goes by what the agent wrote down.
#
# Below the run directory, in a folder for root only:
#   lease                 modified, it claims, in the future: until then the agent lives
#   record                the agent's last decisions, a line each
#   requests/ID.request   the CNI variables as NAME=VALUE lines, an empty line, the configuration as it came on stdin
#   requests/ID.answer    a fifo: "." for every second the agent works on it; its JSON in lines that begin with "+";
#                         then "=0" for a result or "=1" for an error
#   requests/ID.ready     an empty file, made last: the request is whole

set -fu
umask 077
IFS=' '
LC_ALL=C
export LC_ALL

bb='@BUSYBOX@'
run='@RUN_DIR@'
excluded=' @EXCLUDED_NAMESPACES@ '
agent_namespace='@AGENT_NAMESPACE@'

lease=$run/plugin/lease
record=$run/plugin/record
requests=$run/plugin/requests
log=$run/istio-cni.log

newline='
'
conf_bytes_max=1048576
chunk_bytes=65536
stdin_seconds=10
# Without a sign of life for this long the agent counts as away: one with a lease, and one without.
silence_seconds=10
absence_seconds=4
# kubelet gives a runtime two minutes.
work_seconds=50
log_bytes_max=10485760

supported='"0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"'
conf=''
base=''
pod='of no name yet'

# Reads standard input. What is cut off, because it does not end in time, is found to be no JSON later on.
read_conf() {
  status=0
  while [ "$status" -eq 0 ]; do
    IFS= read -r -t "$stdin_seconds" -n "$chunk_bytes" chunk
    status=$?
    conf=$conf$chunk
    # A line that ended is shorter than a chunk.
    [ "${#chunk}" -eq "$chunk_bytes" ] || conf=$conf$newline
    if [ "${#conf}" -gt "$conf_bytes_max" ]; then
      conf=''
      fail 6 "the configuration on stdin is larger than $conf_bytes_max bytes" ''
    fi
  done
}

# Prints a top-level member of the configuration as it stands there; nothing when it has none. Fails when the
# configuration is no JSON object. What is inside the member is not looked at.
member() {
  printf '%s' "$conf" | $bb awk -v want="$1" '
    function blanks() { while (i <= n && index(" \t\r\n", c[i])) i++ }
    # From the quote to after its partner; whether what is between them is the name that is looked for.
    function text(  from, k) {
      from = ++i
      while (i <= n && c[i] != "\"") i += (c[i] == "\\") ? 2 : 1
      if (i > n) bad = 1
      i++
      if (i - 1 - from != length(want)) return 0
      for (k = from; k < i - 1; k++) if (c[k] != substr(want, k - from + 1, 1)) return 0
      return 1
    }
    function skip_value(  depth) {
      depth = 0
      do {
        if (c[i] == "\"") text()
        else if (c[i] == "{" || c[i] == "[") { depth++; i++ }
        else if (c[i] == "}" || c[i] == "]") { depth--; i++ }
        else if (depth > 0) i++
        else while (i <= n && !index(",:{}[]\" \t\r\n", c[i])) i++
      } while (depth > 0 && i <= n)
      if (depth != 0) bad = 1
    }
    function members(  is_wanted, from) {
      blanks()
      if (c[i++] != "{") return 0
      blanks()
      if (c[i] == "}") { i++; return 1 }
      while (!bad) {
        if (c[i] != "\"") return 0
        is_wanted = text()
        blanks()
        if (c[i++] != ":") return 0
        blanks()
        from = i
        skip_value()
        if (bad || i == from) return 0
        if (is_wanted) { found = from; size = i - from }
        blanks()
        if (c[i] == "}") { i++; return 1 }
        if (c[i++] != ",") return 0
        blanks()
      }
      return 0
    }
    BEGIN { RS = "\001" }
    {
      n = split($0, c, "")
      i = 1
      good = NR == 1 && members()
      blanks()
      if (i <= n) good = 0
      else if (good && found) value = substr($0, found, size)
    }
    END { if (!good) exit 1; printf "%s", value }'
}

# Prints the version for the answer: that of the configuration, when it is one this plugin knows.
version() {
  wanted=$(member cniVersion) || wanted=''
  case ",$supported," in
    *",$wanted,"*) printf '%s' "$wanted" ;;
    *) printf '"1.0.0"' ;;
  esac
}

# Ends with an error object: code, message, details. The words are this script's and the agent's: nothing to escape.
fail() {
  withdraw
  note error "$2; $3"
  printf '{"cniVersion":%s,"code":%s,"msg":"%s","details":"%s"}\n' "$(version)" "$1" "$2" "$3"
  exit 1
}

# Ends with the result of the plugins before this one: ADD has to hand it on.
pass() {
  withdraw
  result=$(member prevResult) || fail 6 'the configuration on stdin is not a JSON object' ''
  case $result in
    '' | null) printf '{"cniVersion":%s}\n' "$(version)" ;;
    *) printf '%s\n' "$result" ;;
  esac
  exit 0
}

# Writes down what the agent could not see. A disk that is full keeps no pod from starting.
note() {
  [ -d "$run" ] || return 0
  size=$([ ! -f "$log" ] || $bb stat -c %s "$log")
  [ "${size:-0}" -le "$log_bytes_max" ] || $bb mv -f "$log" "$log.1"
  now=$($bb date -u +%Y-%m-%dT%H:%M:%SZ)
  printf '{"time":"%s","level":"%s","pod":"%s","msg":"%s"}\n' "$now" "$1" "$pod" "$2" >>"$log" || return 0
}

withdraw() {
  [ -z "$base" ] || $bb rm -f "$base.ready" "$base.request" "$base.answer"
  base=''
}

write_request() {
  printf 'CNI_COMMAND=%s\n' "${CNI_COMMAND:-}" &&
    printf 'CNI_CONTAINERID=%s\n' "${CNI_CONTAINERID:-}" &&
    printf 'CNI_NETNS=%s\n' "${CNI_NETNS:-}" &&
    printf 'CNI_IFNAME=%s\n' "${CNI_IFNAME:-}" &&
    printf 'CNI_ARGS=%s\n' "${CNI_ARGS:-}" &&
    printf '\n%s' "$conf"
}

# Lays the request down. Fails when the agent has not run since the node started, or there is no room.
submit() {
  [ -d "$requests" ] || return 1
  base=$requests/$$
  # Of an earlier process with this number, which was killed.
  [ ! -e "$base.answer" ] && [ ! -e "$base.request" ] || $bb rm -f "$base.ready" "$base.request" "$base.answer"
  $bb mkfifo "$base.answer" || return 1
  # For reading and writing: opening it waits for nobody.
  command exec 4<>"$base.answer" || return 1
  write_request >"$base.request" || return 1
  printf '' >"$base.ready"
}

# Whether the lease ends later than now, which is when the marker is written once more. A marker that is gone again was
# taken away by an agent with its answer.
agent_lives() {
  printf '' >"$base.ready" || return 1
  [ "$lease" -nt "$base.ready" ] || [ ! -e "$base.ready" ]
}

# Ends with the agent's answer. Returns when none came, with the reason in `trouble`.
await_answer() {
  answer=''
  silent=0
  worked=0
  while :; do
    # Whole lines are written, so that what follows the first character is there. A time-out within a line would lose
    # what was read of it.
    if IFS= read -r -t 2 -n 1 kind <&4; then
      IFS= read -r line <&4
      silent=0
      case $kind$line in
        +*) answer=$answer$line ;;
        =0 | =1)
          [ -z "$answer" ] || printf '%s\n' "$answer"
          exit "$line"
          ;;
        *)
          worked=$((worked + 1))
          trouble="the CNI agent of this node is still busy with it after $work_seconds seconds"
          [ "$worked" -lt "$work_seconds" ] || return 0
          ;;
      esac
    else
      silent=$((silent + 2))
      if agent_lives; then
        trouble="the CNI agent of this node runs but has not answered for $silence_seconds seconds"
        [ "$silent" -lt "$silence_seconds" ] || return 0
      else
        trouble='the CNI agent of this node does not run'
        [ "$silent" -lt "$absence_seconds" ] || return 0
      fi
    fi
  done
}

is_recorded() {
  [ -f "$record" ] && $bb grep -qFx -e "$1" "$record"
}

# Prints why the agent left this node for good; nothing when it did not.
departure() {
  [ ! -f "$record" ] || $bb sed -n 's/^left //p' "$record"
}

# The pod that CNI_ARGS names, as `namespace` and `name`: empty when it is not of Kubernetes.
name_pod() {
  namespace=''
  name=''
  IFS=';'
  for pair in ${CNI_ARGS:-}; do
    case $pair in
      K8S_POD_NAMESPACE=*) namespace=${pair#*=} ;;
      K8S_POD_NAME=*) name=${pair#*=} ;;
    esac
  done
  IFS=' '
  case $namespace$name in
    *[!a-z0-9.-]*) fail 4 'CNI_ARGS names a pod as Kubernetes names none' '' ;;
  esac
  pod=$namespace/$name
}

add() {
  read_conf
  name_pod
  [ -n "$namespace" ] && [ -n "$name" ] || pass
  # Whatever happens to the mesh, these start.
  case $excluded in *" $namespace "*) pass ;; esac
  # The agent could never start if it had to ask itself.
  case $namespace/$name in "$agent_namespace"/istio-cni-node-*) pass ;; esac

  if ! submit; then
    trouble="no request could be written to $requests: the disk is full, or the CNI agent has not run since this node started"
  elif agent_lives || ! is_recorded "outside $namespace"; then
    await_answer
  else
    trouble='the CNI agent of this node does not run'
  fi
  if is_recorded "outside $namespace"; then
    note info "starts without the mesh: $trouble; it wrote down that the namespace is outside"
    pass
  fi
  left=$(departure)
  if [ -n "$left" ]; then
    fail 11 "MESH0710: Pod $pod waits for the mesh, whose CNI agent left this node for good" \
      "$left. Run the pod on another node, have the DaemonSet istio-cni-node select this one again, or label the pod istio.io/dataplane-mode=none."
  fi
  fail 11 "MESH0709: Pod $pod waits for the mesh: $trouble" \
    "Nothing says that namespace $namespace is outside the mesh. See kubectl -n $agent_namespace get pods -l k8s-app=istio-cni-node -o wide."
}

case ${CNI_COMMAND:-}${CNI_CONTAINERID:-}${CNI_NETNS:-}${CNI_IFNAME:-}${CNI_ARGS:-} in
  *"$newline"*) fail 4 'a CNI variable holds a line break' '' ;;
esac
case ${CNI_COMMAND:-} in
  ADD) add ;;
  CHECK)
    # Without the agent nothing is known to be wrong.
    read_conf
    if submit && agent_lives; then await_answer; fi
    withdraw
    ;;
  VERSION)
    read_conf
    printf '{"cniVersion":%s,"supportedVersions":[%s]}\n' "$(version)" "$supported"
    ;;
  # What was done for a pod goes with its network namespace. And the plugin always serves: pods outside the mesh start
  # in any case, the agent among them, without which the others would wait for ever.
  DEL | GC | STATUS) ;;
  '') fail 4 'CNI_COMMAND is not set' 'This program is a CNI plugin: a container runtime calls it.' ;;
  *) fail 4 'CNI_COMMAND is none of the CNI specification' '' ;;
esac
