# What there is to do. `just` alone lists it.

default:
    @just --list

# Run the gateway, with a configuration or without.
run *ARGS:
    cargo run --release -- {{ARGS}}

# Run the tests.
test:
    cargo test --workspace

# Format, lint and check the docs, as CI does.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    scripts/files.sh
    scripts/lint.sh

# Check licences, sources and the walls between the crates.
deny:
    scripts/deny.sh

# Build what would be published, and a stranger's program on it.
publish-check:
    scripts/publish.sh

# Hold the crates against what they promise.
api:
    scripts/api.sh

# Open the documentation.
doc:
    cargo doc --workspace --no-deps --open

# Time the parts of the gateway, one by one: all of them, or those of a part.
bench *PART:
    cargo bench -p jairouter-micro -- {{PART}}

# Measure the program against nginx and a bare hyper proxy.
bench-gateways *ARGUMENTS:
    scripts/bench.sh {{ARGUMENTS}}

# Count their instructions, and hold them against those that are written down.
instructions *CASE:
    scripts/instructions.sh {{CASE}}

# Run the official SDKs against the program.
sdks:
    scripts/sdks.sh

# Run a real llama.cpp server behind the program.
llama-cpp:
    scripts/llama-cpp.sh

# Run real engines behind the program: llama.cpp, xinference, triton, vllm, or all of them.
real-engines *ENGINES:
    scripts/real-engines.sh {{ENGINES}}

# Everything that must pass.
ci:
    .ci/run
