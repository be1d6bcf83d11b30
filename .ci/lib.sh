# Helpers of .ci/run: steps with their durations, Debian packages, names of targets, the closing line.

scratch=$(mktemp -d)
log=$scratch/log
running=
trap on_exit EXIT

# step HEADLINE COMMAND...: runs it, keeps what it prints for the closing line, says how long it took.
step() {
    local began=$SECONDS
    running=$1
    printf '\n== %s\n' "$running"
    "${@:2}" 2>&1 </dev/null | tee -a "$log"
    printf -- '-- %s: %d s\n' "$running" $((SECONDS - began))
    running=
}

on_exit() {
    local status=$?
    [ -z "$running" ] || printf '\nfailed in: %s\n' "$running"
    if [ "$status" != 0 ] && [ -d "$scratch/fuzz" ]; then
        find "$scratch/fuzz" -type f \( -name 'crash-*' -o -name 'timeout-*' -o -name 'oom-*' \) -print |
            while read -r input; do
                printf 'input %s, in base64:\n' "$(basename "$input")"
                base64 "$input"
            done
    fi
    rm -rf "$scratch"
}

# Sums the `test result:` lines of all runs of cargo test. No test at all is a failure.
closing_line() {
    local passed failed
    read -r passed failed < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
    printf '\nall steps: %d s\n%d passed, %d failed\n' "$SECONDS" "$passed" "$failed"
    [ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
}

# names_of FOLDER: the targets that stand in it, one file each.
names_of() {
    local file
    for file in "$1"/*.rs; do
        [ ! -f "$file" ] || basename "$file" .rs
    done
}

# packages NAME...: installs Debian packages, where this machine has and allows that.
packages() {
    local as_root=()
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# A compiler, a linker, the linter and the formatter.
tools() {
    if ! command -v cargo >/dev/null; then
        packages rustup
        rustup default stable
    fi
    command -v cc >/dev/null || packages gcc libc6-dev
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo --version
    rustc --version
    cargo clippy --version
}
