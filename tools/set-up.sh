#!/bin/sh
# tools/set-up.sh VENV EXTRAS GROUP — make the virtual environment VENV, or bring it up to date.
#
# Called by the Makefile. VENV/.ready is its stamp and is written last; VENV/.unfinished stands while
# packages are being written, so that an environment left half done by a kill is made anew and never
# trusted. A run with nothing to change needs no network: it only links the project again, which is
# also how an environment follows a checkout that has moved.
set -eu
venv=$1
extras=$2
group=$3

suitable() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

choose_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if suitable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  found=$(${PYTHON:-python3} -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none)
  case $found in
    none) why="no ${PYTHON:-python3} was found" ;;
    2.* | 3.[0-9] | 3.10) why="Python $found is too old" ;;
    *) why="TensorFlow has no wheels for Python $found yet" ;;
  esac
  echo "$why: install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python3.13" >&2
  exit 1
}

make_environment() {
  python=$(choose_python)
  made=yes
  echo "Setting up $venv with $("$python" --version): half a gigabyte to fetch, once."
  mkdir -p "$venv"
  : >"$venv/.unfinished"
  # Everything but the mark goes: with --clear it would go first, and a kill would leave no trace.
  find "$venv" -mindepth 1 -maxdepth 1 ! -name .unfinished -exec rm -rf {} +
  if [ -n "$uv" ]; then
    "$uv" venv --quiet --seed --allow-existing --python "$python" "$venv"
  else
    "$python" -m venv "$venv"
  fi
}

install() {
  if [ -n "$uv" ]; then
    "$uv" pip install --python "$venv/bin/python" --constraint constraints.txt "$@"
  else
    "$venv/bin/python" -m pip install --disable-pip-version-check --constraint constraints.txt "$@"
  fi
}

install_all() {
  # pip first, since --group needs a new one; setuptools too, so that the project is built without a
  # separate build environment, which would be fetched unpinned and again at every change.
  install --quiet pip setuptools &&
    install "$@" --no-build-isolation --group "$group" --editable ".[$extras]"
}

uv=$(command -v uv || true)
made=
if [ -e "$venv/.unfinished" ]; then
  echo "The last set-up of $venv was interrupted: starting again."
  make_environment
elif [ -e "$venv/.ready" ] && ! suitable "$venv/bin/python"; then
  echo "The Python that $venv was made with is gone: starting again."
  make_environment
elif [ ! -e "$venv/bin/python" ]; then
  make_environment
elif ! suitable "$venv/bin/python"; then
  echo "$venv holds a Python other than 3.11, 3.12 or 3.13: move it away, then run make again." >&2
  exit 1
fi

quiet=
if [ -e "$venv/.ready" ]; then
  quiet=-qq # of pip: errors only
  [ -z "$uv" ] || quiet=--quiet
fi
: >"$venv/.unfinished"
if ! install_all $quiet; then
  # pip touches nothing before it has fetched everything, so a failure leaves an older environment whole.
  [ -n "$made" ] || rm -f "$venv/.unfinished"
  echo "Setting up $venv failed; the lines above say why." >&2
  exit 1
fi
pwd >"$venv/.ready"
rm -f "$venv/.unfinished"
