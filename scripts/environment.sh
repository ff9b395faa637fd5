# What the tests and benchmarks need to know: sourced after common.sh.
unset CARGO_TARGET_DIR
export UMBEL_BIN=$target/release/umbel
export UMBEL_PLUGINS=$target/plugins
export UMBEL_GUESTS=$target/guests
export UMBEL_TEST_PLUGINS=$target/test-plugins
export UMBEL_PYTHON=$target/venv/bin/python
