#!/usr/bin/env bash
# Builds every fuzz target and runs each for a while: fuzz/run.sh [SECONDS] [TARGET…]; 0 seconds only builds.
#
# The targets are in cargo-fuzz's layout, so `cargo fuzz run TARGET` works too and adds AddressSanitizer, but needs
# cargo-fuzz and a nightly toolchain. The code under test here is safe Rust, so coverage feedback is what matters, and
# that the pinned toolchain can do by itself (a C++ compiler builds libFuzzer).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds="${1:-60}"
shift || true
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# Naming the host as the target keeps the instrumentation out of build scripts and macros.
host="$(rustc -vV | sed -n 's/^host: //p')"
passes="-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4"
passes+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
passes+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="--cfg fuzzing $passes" cargo build --release --bins --target "$host" --target-dir target

# libFuzzer takes 0 for no end.
[ "$seconds" -gt 0 ] || exit 0

failed=0
for target in "${targets[@]}"; do
    echo "=== $target, ${seconds} s"
    mkdir -p "corpus/$target" "artifacts/$target"
    "target/$host/release/$target" "corpus/$target" "seeds/$target" \
        -max_total_time="$seconds" -artifact_prefix="artifacts/$target/" -print_final_stats=1 -verbosity=0 || failed=1
done
exit "$failed"
