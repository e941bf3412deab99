# Sourced by what checks with Python: makes an environment, and installs there. `make_environment FOLDER`, then `install_in FOLDER ARGUMENTS of pip install`.
# Debian has pip in one package and what puts pip into an environment in another (python3-venv): without that, the system's pip installs from outside.

make_environment() {
    python3 -m venv "$1" >/dev/null 2>&1 || python3 -m venv --clear --without-pip "$1" \
        || { echo "python3 makes no environment; install it: sudo apt-get install python3-pip python3-venv"; exit 1; }
}

install_in() {
    local folder=$1
    local pip=("$folder/bin/python" -m pip)
    "${pip[@]}" --version >/dev/null 2>&1 || pip=(python3 -m pip --python "$folder/bin/python")
    "${pip[@]}" install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: "${@:2}" \
        || { echo "pip failed; is it there, and 22.3 or newer? sudo apt-get install python3-pip python3-venv"; exit 1; }
}
