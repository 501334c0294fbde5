#!/bin/sh
# Runs `bus validate` in a CI job, against the commit that the change begins at: ci/validate.sh [BASE] [OPTION...]
#
# It finds `bus` and the base, deepens a shallow clone until HEAD and the base have a commit in common, and ends with the
# status of `bus validate`, which gets the options; with 7 where branches cannot be fetched, with 127 without a `bus`. It needs
# git, and runs nothing that a branch or a title says.
#
#   BUS         the binary, where it is not on the PATH
#   BUS_BASE    the base, as the first argument says it
#   BUS_BEFORE  what the branch was at before the push, or what the merge queue builds on
#   BUS_REFS    globs of branches of origin, as `agent/*`, with which no task may be claimed twice; they are fetched
#
# Where nobody names a base it is, in a pull request of GitHub, what GitHub merged it into to try it out, else the branch
# that it is for; after a push, $BUS_BEFORE; in a merge request of GitLab, the branch that it is for; else
# refs/remotes/origin/HEAD. Where that is HEAD itself, everything is judged.
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
  commit "$1" >/dev/null && git merge-base "$1" HEAD >/dev/null
}

fetch() {
  git fetch --quiet --no-tags "$@"
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
  if ! commit "$base" >/dev/null && ! is_id "$base"; then
    branch=${base#refs/remotes/}
    branch=${branch#origin/}
    if fetch_branches "$branch" 2>/dev/null; then base=refs/remotes/origin/$branch; fi
  fi
  reach "$base"
}

# The first parent of the merge that GitHub made of a pull request, where that is checked out. A shallow clone hides it from
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
  # They prove that a claim was handed over. Without them `bus` warns that it is not proved.
  for prefix in refs/bus refs/heads/bus; do
    fetch origin "+$prefix/claims/*:refs/bus-remote/origin/claims/*" "+$prefix/archive*:refs/bus-remote/origin/archive*" 2>/dev/null || :
  done
  [ -n "$base" ] || choose_base
  if [ -n "$base" ]; then
    reach_base || say "$base and HEAD have no commit in common here"
    set -- --base "$base" "$@"
  else
    say 'everything is judged, and no history: nothing says where a change begins; to name a base: ci/validate.sh BASE'
    set -- --base= "$@"
  fi
fi
# GitLab checks out a commit, not a branch. GitHub says the branch in a variable that `bus` reads.
branch=${CI_MERGE_REQUEST_SOURCE_BRANCH_NAME:-${CI_COMMIT_BRANCH:-}}
case "$branch $*" in
' '* | *' --branch'*) ;;
*) set -- "--branch=$branch" "$@" ;;
esac
run_bus validate "$@"
