#!/bin/sh
# Runs `bus validate` in a CI job, against the commit that the change begins at: ci/validate.sh [BASE] [OPTION...]
# Or audits all refs of the fleet, for a scheduled job: ci/validate.sh --fleet [OPTION...]
#
# It finds `bus` and the base, deepens a shallow clone until HEAD and the base have a commit in common, fetches of the fleet's refs
# what the change needs, and ends with the status of `bus validate`, which gets the options; with 7 if branches cannot be fetched, or
# no refs for an audit; with 127 without a `bus`. It needs git, and runs nothing that a branch or a title says.
#
# A pull request can change this file. Run the base's, as ci/github/bus.yml does: `git show "$base:ci/validate.sh"`.
#
#   BUS         the binary, if it is not on the PATH
#   BUS_BASE    the base, as the first argument says it
#   BUS_BEFORE  what the branch was at before the push, or what the merge queue builds on
#   BUS_REFS    globs of branches of origin, as `agent/*`, with which no task may be claimed twice; they are fetched
#
# If nobody names a base it is, in a pull request of GitHub, what GitHub merged it into to try it out, else the branch
# that it is for; after a push, $BUS_BEFORE; in a merge or pull request of GitLab, Buildkite, Azure Pipelines, Jenkins or
# Bitbucket, the branch that it is for; else refs/remotes/origin/HEAD. If that is HEAD itself, everything is judged.
#
# The branch that is judged is what these services and CircleCI call it, else the one that is checked out. If nobody says, `bus` warns.
#
# Of the fleet's refs it fetches, for a branch agent/<id>/…, the claim of the branch's task and the newest table of leases; for claim files
# that the change touches, their histories. It looks once, and fetches no log. If the change has batches of other agents it fetches these
# agents' branches, which prove that. A branch of a fork is judged as nobody's.
set -euf
export GIT_TERMINAL_PROMPT=0 GIT_NO_REPLACE_OBJECTS=1

say() {
  printf 'validate.sh: %s\n' "$*" >&2
}

# Runs bus: the one that is named or installed, else, beside bus's own sources, what they build.
run_bus() {
  manifest=$(dirname -- "$0")/../Cargo.toml
  if [ -n "${BUS:-}" ] && command -v "$BUS" >/dev/null; then
    "$BUS" "$@"
  elif [ -n "${BUS:-}" ]; then
    say "BUS names no program: $BUS"
    return 127
  elif command -v bus >/dev/null; then
    bus "$@"
  elif grep -qs '^name = "agent-bus"$' "$manifest"; then
    cargo build --release --locked --manifest-path "$manifest" >&2
    cargo run --release --locked --quiet --manifest-path "$manifest" -- "$@"
  else
    say 'neither $BUS nor the PATH has a `bus`'
    say '  hint: install it with `cargo install agent-bus --locked`, or set BUS to its path'
    return 127
  fi
}

commit() {
  git rev-parse --quiet --verify "$1^{commit}" 2>/dev/null
}

is_id() {
  [ "${#1}" -eq 40 ] && case $1 in *[!0-9a-f]*) false ;; esac
}

is_shallow() {
  [ "$(git rev-parse --is-shallow-repository)" = true ]
}

# Whether HEAD and $1 have a commit in common, as far as this clone knows.
is_reached() {
  git merge-base "$1" HEAD >/dev/null 2>&1
}

fetch() {
  # A clone that is thrown away needs no maintenance.
  git -c maintenance.auto=false fetch --quiet --no-tags "$@"
}

# Fetches the branches $1 of origin, in a shallow clone only their tips.
fetch_branches() {
  set -- origin "+refs/heads/$1:refs/remotes/origin/$1"
  if is_shallow; then set -- --depth=1 "$@"; fi
  fetch "$@"
}

# Lengthens by $1 the history that a shallow clone has of HEAD and of $2. It names commits: without, git would fetch every
# branch.
deepen() {
  if other=$(commit "$2"); then set -- "$1" "$other"; else set -- "$1"; fi
  step=$1 && shift
  fetch "$step" origin "$(commit HEAD)" "$@"
}

# Fetches $1 and what ties it to HEAD, in growing steps; succeeds where that is there in the end.
reach() {
  if ! is_shallow && ! commit "$1" >/dev/null && is_id "$1"; then fetch origin "$1" || :; fi
  for step in --deepen=1 --deepen=4 --deepen=16 --deepen=64 --deepen=256 --deepen=1024 --unshallow; do
    if is_reached "$1" || ! is_shallow; then break; fi
    # Where the server hands out no commits by name, or does not answer, more steps bring nothing.
    deepen "$step" "$1" || { fetch --unshallow origin || :; break; }
    # What is no ancestor of HEAD, as after a forced push, comes by no deepening.
    if ! commit "$1" >/dev/null && is_id "$1"; then fetch --depth=1 origin "$1" 2>/dev/null || :; fi
  done
  is_reached "$1"
}

# The same for the base, which may be a branch that only origin has.
reach_base() {
  is_reached "$base" && return
  if ! commit "$base" >/dev/null && ! is_id "$base"; then
    branch=${base#refs/remotes/}
    branch=${branch#origin/}
    if fetch_branches "$branch" 2>/dev/null; then base=refs/remotes/origin/$branch; fi
  fi
  reach "$base"
}

# The first parent of the merge that GitHub made of a pull request, if that is checked out. A shallow clone hides it from
# `rev-parse`, but not from `cat-file`.
merged_into() {
  [ "$(commit HEAD)" = "${GITHUB_SHA:-}" ] || return
  # Ids: the words are to be split.
  # shellcheck disable=SC2046
  set -- $(git cat-file commit HEAD | sed -n '/^$/q; s/^parent //p')
  [ $# -gt 1 ] && printf '%s\n' "$1"
}

# Sets the base to what the environment names. Where that cannot be had it stays the base, so that `bus` refuses: a change
# must not pass because nobody looked. Only what a push has replaced may rightly be gone.
choose_base() {
  case ${GITHUB_EVENT_NAME:-} in
  pull_request*) base=$(merged_into) || base=${GITHUB_BASE_REF:+refs/remotes/origin/$GITHUB_BASE_REF} ;;
  merge_group) base=${BUS_BEFORE:-} ;;
  push) before "${BUS_BEFORE:-}" ;;
  esac
  if [ -n "${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-}" ]; then
    base=refs/remotes/origin/$CI_MERGE_REQUEST_TARGET_BRANCH_NAME
  fi
  base=${base:-${CI_MERGE_REQUEST_DIFF_BASE_SHA:-}}
  if [ -z "$base" ]; then
    target=${SYSTEM_PULLREQUEST_TARGETBRANCH:-${CHANGE_TARGET:-${BITBUCKET_PR_DESTINATION_BRANCH:-}}}
    case ${BUILDKITE_PULL_REQUEST:-false} in false) ;; *) target=${target:-${BUILDKITE_PULL_REQUEST_BASE_BRANCH:-}} ;; esac
    target=${target#refs/heads/}
    base=${target:+refs/remotes/origin/$target}
  fi
  [ -n "$base" ] || before "${CI_COMMIT_BEFORE_SHA:-}"
  if [ -z "$base" ] && commit refs/remotes/origin/HEAD >/dev/null; then base=refs/remotes/origin/HEAD; fi
  # On the default branch itself nothing has changed since: then everything is judged.
  if [ -n "$base" ] && [ "$(commit "$base")" = "$(commit HEAD)" ]; then base=; fi
}

# Takes what the branch was at before a push for the base, if it can be had. All zeros: the branch is new.
before() {
  case $1 in *[!0]*) base=$1 ;; *) return 0 ;; esac
  if ! reach_base; then
    say "what the branch was at before the push, $base, is gone"
    base=
  fi
}

# The branch that is judged, as the CI service calls it; nothing if it does not say. The services' documents name the variables:
# GitLab "Predefined CI/CD variables", Buildkite "Environment variables", CircleCI "Project values and variables", Azure Pipelines
# "Predefined variables", Jenkins "Branch API" and "Git", Bitbucket "Variables and secrets", GitHub "Variables reference".
named_branch() {
  name=${CI_MERGE_REQUEST_SOURCE_BRANCH_NAME:-${CI_COMMIT_BRANCH:-${GITHUB_HEAD_REF:-}}}
  # A tag is no branch.
  case ${GITHUB_REF_TYPE:-},${GITHUB_EVENT_NAME:-} in branch,pull_request*) ;; branch,*) name=${name:-${GITHUB_REF_NAME:-}} ;; esac
  # Of a pull request that one, else the one that was pushed. Buildkite calls a tag a branch, too.
  if [ -z "${BUILDKITE_TAG:-}" ]; then name=${name:-${BUILDKITE_BRANCH:-}}; fi
  name=${name:-${CIRCLE_BRANCH:-${SYSTEM_PULLREQUEST_SOURCEBRANCH:-}}}
  if [ -z "$name" ]; then
    case ${BUILD_SOURCEBRANCH:-} in refs/heads/*) name=$BUILD_SOURCEBRANCH ;; esac
  fi
  name=${name:-${CHANGE_BRANCH:-${BITBUCKET_BRANCH:-}}}
  # Jenkins calls a pull request PR-1 here, and a tag by its name.
  if [ -z "${CHANGE_ID:-}${TAG_NAME:-}" ]; then
    name=${name:-${BRANCH_NAME:-}}
    if [ -z "$name" ] && [ -n "${JENKINS_URL:-}" ]; then
      # With the name of the remote before it.
      case ${GIT_BRANCH:-} in detached) ;; */*) name=${GIT_BRANCH#refs/remotes/} && name=${name#*/} ;; esac
    fi
  fi
  name=${name#refs/heads/}
  # What GitHub and Azure check out to try a pull request is nobody's branch.
  case $name in refs/* | *:*) name= ;; esac
  printf '%s\n' "$name"
}

# The branch that the options name, else the same, else the branch that is checked out.
judged_branch() {
  name=
  while [ $# -gt 0 ]; do
    case $1 in
    --branch=*) name=${1#--branch=} && [ -n "$name" ] || return 0 ;;
    --branch) name=${2:-} && [ -n "$name" ] || return 0 ;;
    esac
    shift
  done
  name=${name#refs/heads/}
  [ -n "$name" ] || name=$(named_branch)
  [ -n "$name" ] || name=$(git symbolic-ref --quiet --short HEAD) || :
  printf '%s\n' "$name"
}

# Whether the branch is one of another repository than the one that it is for.
is_fork() {
  [ "${CI_MERGE_REQUEST_SOURCE_PROJECT_ID:-}" = "${CI_MERGE_REQUEST_PROJECT_ID:-}" ] || return 0
  # CircleCI, Jenkins and Azure say so; Bitbucket builds a fork in the fork.
  [ -z "${CIRCLE_PR_REPONAME:-}${CHANGE_FORK:-}" ] || return 0
  case ${SYSTEM_PULLREQUEST_ISFORK:-} in [Tt]rue) return 0 ;; esac
  # Buildkite says which repository a pull request comes from, in whatever form.
  case ${BUILDKITE_PULL_REQUEST_REPO:-} in
  '') ;;
  *) [ "$(repository_of "$BUILDKITE_PULL_REQUEST_REPO")" = "$(repository_of "${BUILDKITE_REPO:-}")" ] || return 0 ;;
  esac
  case ${GITHUB_EVENT_NAME:-} in pull_request*) ;; *) return 1 ;; esac
  [ -r "${GITHUB_EVENT_PATH:-}" ] || return 1
  # The event is JSON, in which no text can begin a line as a key does: its quotes are escaped.
  head=$(sed 's/[{,]/&\
/g' "$GITHUB_EVENT_PATH" | sed -n '/^[[:space:]]*"head":[[:space:]]*{/,/^[[:space:]]*"base":[[:space:]]*{/s/^[[:space:]]*"full_name":[[:space:]]*"\([^"]*\)".*/\1/p')
  [ "$head" != "${GITHUB_REPOSITORY:-}" ]
}

# What a URL says of the repository: its owner and its name, in small letters.
repository_of() {
  printf '%s\n' "$1" | sed 's|/*$||; s|\.git$||; s|^.*[:/]\([^:/]*/[^/]*\)$|\1|; y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/abcdefghijklmnopqrstuvwxyz/'
}

# The paths below these that the change has, one a line.
changed() {
  [ -z "$base" ] || git --literal-pathspecs diff --name-only --no-renames "$base...HEAD" -- "$@" 2>/dev/null || :
}

# The tasks whose claims the change needs, as their refs are called: of an agent's branch those that its name can begin with and those
# of its reports; and those whose claim files are changed.
tasks() {
  {
    case $judged in
    agent/*/?*)
      agent=${judged#agent/}
      name=${agent#*/}
      agent=${agent%%/*}
      while :; do
        printf '%s\n' "$name"
        case $name in *[-/]*) name=${name%[-/]*} ;; *) break ;; esac
      done
      changed "_report/agent/$agent/" | sed -n 's|^_report/agent/[^/]*/\([^/]*\)/.*|\1|p'
      ;;
    esac
    changed _bus/claims/ | sed -n 's|^_bus/claims/\([^/]*\)\.json$|\1|p'
  } | sed -n 'y/abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/
    /^[A-Z0-9][A-Z0-9._-]*$/!d
    p
    s/^QUEUE-0*\([1-9][0-9]*\)$/QUEUE-\1/p
    s/^QUEUE-\([0-9]\)$/QUEUE-00\1/p
    s/^QUEUE-\([0-9][0-9]\)$/QUEUE-0\1/p'
}

# Fetches the branches of the other agents whose batches the change of an agent's branch has: they prove whose these are. Of a shallow
# clone they are not cut off: they may be what HEAD goes on from.
fetch_owners() {
  case $judged in agent/*/?*) agent=${judged#agent/} ;; *) return 0 ;; esac
  owners=$(changed _bus/events/ _bus/messages/ | sed -n 's|^_bus/[a-z]*/\([A-Za-z0-9][A-Za-z0-9._-]*\)@[0-9a-z]*\.jsonl$|\1|p' |
    grep -Fxv -e "${agent%%/*}") || :
  fetched=' '
  for owner in $owners; do
    case $fetched in *" $owner "*) continue ;; esac
    # Each is a fetch; who brings more batches than of so many agents says enough by these.
    [ "${#fetched}" -lt 500 ] || break
    fetched="$fetched$owner "
    fetch origin "+refs/heads/agent/$owner/*:refs/remotes/origin/agent/$owner/*" || say "cannot fetch the branches of $owner"
  done
}

# Whether the verdict depends on the fleet's refs.
needs_fleet() {
  case $judged in agent/*/?*) return 0 ;; esac
  [ -n "$tasks" ]
}

# The section [fleet] of the policy that holds.
fleet_section() {
  printf '%s\n' "$policy" | sed -n '/^[[:space:]]*\[[[:space:]]*fleet[[:space:]]*\]/,/^[[:space:]]*\[[[:space:]]*[^f[:space:]]/p'
}

# Looks at the names of the fleet's refs on origin, and sets `refs` to them and `prefix` to where they are: where the policy says, since
# anybody may push branches below the other one. If it names no fleet, what is there tells.
look() {
  refs=$(git ls-remote origin 'refs/bus/*' 'refs/heads/bus/*') || return
  refs=$(printf '%s\n' "$refs" | sed 's/^[0-9a-f]*[[:space:]]//')
  prefix=refs/bus
  # That of the base, else of HEAD.
  policy=$(git show "${base:-HEAD}:_bus/config.toml" 2>/dev/null) || :
  section=$(fleet_section)
  case $section in
  '') case $refs in refs/heads/bus/*) prefix=refs/heads/bus ;; esac ;;
  *)
    case $(printf '%s\n' "$section" | sed -n 's/^[[:space:]]*prefix[[:space:]]*=[[:space:]]*//p') in
    [\"\']refs/heads/bus/[\"\']*) prefix=refs/heads/bus ;;
    esac
    ;;
  esac
  refs=$(printf '%s\n' "$refs" | sed -n "\\|^$prefix/|p")
}

# Fetches refs of the fleet, which are called $2 and so on below the prefix, to where `bus` looks for those of a remote; of each so many
# states as $1 says, in a clone that is shallow anyway.
fetch_refs() {
  depth=$1 && shift
  for name in "$@"; do
    shift
    set -- "$@" "+$prefix/$name:refs/bus-remote/origin/$name"
  done
  if [ "$depth" != all ] && is_shallow; then set -- "--depth=$depth" origin "$@"; else set -- origin "$@"; fi
  # They may be branches there, and are none here.
  fetch --refmap= "$@"
}

# Of the refs that origin has those of the names $1, one a line, without the prefix.
there() {
  wanted=$(printf '%s\n' "$1" | sed "s|^|$prefix/|")
  printf '%s\n' "$refs" | grep -Fx -e "$wanted" | sed "s|^$prefix/||"
}

# Fetches the whole claim of each task, and the newest table of leases; the archive only if it may have one of the tasks.
fetch_fleet() {
  look || return
  claims=$(printf '%s\n' "$tasks" | sed 's|^|claims/|')
  names=$(there "$claims")
  missing=$claims
  [ -z "$names" ] || missing=$(printf '%s\n' "$missing" | grep -Fxv -e "$names") || :
  archive=
  [ -z "$missing" ] || archive=$(there archive) || :
  shared=$(there "$(printf 'fleet\nlocks')") || :
  # A policy that wants leases looks for those that were given back, too, through so many states.
  states=1
  if printf '%s\n' "$policy" | grep -q '^[[:space:]]*require[[:space:]]*=[[:space:]]*"[ha]'; then states=2000; fi
  # Names of refs: the words are to be split.
  # shellcheck disable=SC2086
  if is_shallow; then
    [ -z "$names" ] || fetch_refs all $names || return
    [ -z "$shared" ] || fetch_refs "$states" $shared || return
    [ -z "$archive" ] || fetch_refs 1 archive || return
  elif [ -n "$names$shared$archive" ]; then
    # Nothing is cut off in a whole clone, so one connection does.
    fetch_refs all $names $shared $archive || return
  fi
  [ -z "$archive" ] || fetch_archived
}

# Fetches the claims that were archived, of tasks that have no ref any more.
fetch_archived() {
  for name in $missing; do
    name=${name#claims/}
    folder=$(printf %s "$name" | git hash-object --stdin)
    if tip=$(git rev-parse --quiet --verify "refs/bus-remote/origin/archive:${folder%"${folder#??}"}/$name"); then
      git cat-file -e "$tip" 2>/dev/null || fetch origin "$tip" || return
    fi
  done
}

# Fetches all that the fleet's remote has, and audits it. A bus without a fleet has nothing to be audited.
audit() {
  look || { say 'origin does not say what the fleet has' && exit 7; }
  if [ -z "$refs" ]; then
    if grep -qs '^[[:space:]]*\[fleet\]' _bus/config.toml; then
      say 'the policy names a fleet, and origin has none of its refs'
      exit 7
    fi
    say 'origin has no refs of a bus, so there is no fleet to audit'
    exit 0
  fi
  # What landings say of the logs is in the history.
  if is_shallow; then fetch --unshallow origin || exit 7; fi
  fetch --refmap= origin "+$prefix/*:refs/bus-remote/origin/*" || { say "cannot fetch $prefix" && exit 7; }
  run_bus validate "$@"
  exit
}

case ${1:-} in --fleet) audit "$@" ;; esac
case " $* " in
*' --base'*) say 'name the base as the first argument, or in BUS_BASE' && exit 2 ;;
esac
case ${1:-} in
-*) base=${BUS_BASE:-} ;;
*) base=${1:-${BUS_BASE:-}} && shift "$(($# > 0))" ;;
esac
case $base in
-*) say "a base does not begin with a dash: $base" && exit 2 ;;
esac

# Elsewhere than in a repository with a commit, `bus` says what is wrong.
if commit HEAD >/dev/null; then
  judged=$(judged_branch "$@")
  for glob in ${BUS_REFS:-}; do
    # A refspec has one star, a glob more than that.
    case $glob in *[*?[]*) branches=${glob%%[*?[]*}* ;; *) branches=$glob ;; esac
    # A pattern that fits no branch is no error; a shallow fetch would call it one.
    there=0
    case $branches in *'*'*) git ls-remote --exit-code origin "refs/heads/$branches" >/dev/null 2>&1 || there=$? ;; esac
    if [ "$there" -ne 2 ]; then
      fetch_branches "$branches" || { say "cannot fetch the branches $glob" && exit 7; }
    fi
    set -- "--refs=refs/remotes/origin/$glob" "$@"
  done
  [ -n "$base" ] || choose_base
  if [ -n "$base" ]; then
    reach_base || say "$base and HEAD have no commit in common here"
    set -- --base "$base" "$@"
  else
    say 'everything is judged, and no history: nothing says where a change begins; to name a base: ci/validate.sh BASE'
    set -- --base= "$@"
  fi
  if ! is_fork; then
    fetch_owners
    tasks=$(tasks)
    # Could not look is not no.
    if needs_fleet && ! fetch_fleet; then set -- "--unread=origin does not say what the fleet has" "$@"; fi
  fi
fi
# CI services check out a commit, not a branch. The options on the command line count first.
branch=$(named_branch)
# That of a pull request of GitHub `bus` reads itself, and judges forks by it.
[ -z "${GITHUB_HEAD_REF:-}" ] || [ "$branch" != "$GITHUB_HEAD_REF" ] || branch=
case " $* " in
*' --branch'*) ;;
*) if is_fork; then set -- --branch= "$@"; elif [ -n "$branch" ]; then set -- "--branch=$branch" "$@"; fi ;;
esac
run_bus validate "$@"
